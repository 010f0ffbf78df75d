"""Which default the best is compared with, where the default was measured on several GPU types."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

from autotuner.errors import Failure
from autotuner.results.records import TrialState


class MeasuredDefault(Protocol):
    """A trial of the default, as far as the choice looks at it."""

    @property
    def state(self) -> TrialState: ...

    @property
    def failure(self) -> Failure | None: ...


_Default = TypeVar("_Default", bound=MeasuredDefault)


def compared_default(defaults: Sequence[_Default]) -> _Default | None:
    """The first, if it came to its end or may yet; else the first that did.

    Where none did, the first that no fault of its own kept from it: confirmation measures it once more.
    """
    for default in defaults:
        if default.state in (TrialState.COMPLETED, TrialState.RUNNING):
            return default
    innocent = (d for d in defaults if d.failure is None or not d.failure.blames_config)
    return next(innocent, next(iter(defaults), None))
