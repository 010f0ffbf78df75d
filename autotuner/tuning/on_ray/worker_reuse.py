"""Ray Tune's cache of workers whose trial has ended, made to wait for the next trial.

A worker takes seconds to start, and is used again by a trial with an equal placement group. Ray Tune lets it go in the
same round of its loop in which its trial ends, though, whenever any other trial waits for a worker of another kind. The
next trial, chosen in the round after that, then starts a worker of its own, and all that end meanwhile lose theirs too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from ray.tune.utils.object_cache import _ObjectCache


class PatientCache(_ObjectCache):  # type: ignore[misc]  # Ray has no type stubs
    """Keeps every worker until the searcher has been asked once since; surplus ones go in the round after that."""

    def __init__(self, current: _ObjectCache) -> None:
        """Goes on from ``current``."""
        super().__init__()
        self.__dict__.update(current.__dict__)
        self._has_fresh = False

    def cache_object(self, key: Any, obj: Any) -> bool:
        self._cached_objects[key].append(obj)
        self._num_cached_objects += 1
        self._has_fresh = True
        return True

    def flush_cached_objects(self, force_all: bool = False) -> Iterator[Any]:
        waits = self._has_fresh and not force_all
        self._has_fresh = False
        return iter(()) if waits else super().flush_cached_objects(force_all)


def wait_for_next_trial(tune_controller: Any) -> None:
    """Has the running experiment keep its workers so; Ray offers it nowhere public. Idempotent."""
    with contextlib.suppress(AttributeError):
        if not isinstance(tune_controller._actor_cache, PatientCache):
            tune_controller._actor_cache = PatientCache(tune_controller._actor_cache)
