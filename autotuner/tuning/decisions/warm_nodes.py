"""WarmNodes: on which nodes what a trial's server compiles and reads is kept from trials before it. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from autotuner.space.config import Config


class WarmNodes:
    """A node that a like Config was started on has weights in its page cache, and kernels and graphs in its caches.

    Which settings an engine compiles anew for differs by engine and version: the more of them are the same, the more of
    what lies there serves again.
    """

    def __init__(self) -> None:
        self._started: dict[str, set[Config]] = defaultdict(set)

    def note(self, config: Config, nodes: Sequence[str]) -> None:
        """A trial of the Config is started on these nodes."""
        for node_id in nodes:
            self._started[node_id].add(config)

    def coldness(self, config: Config, node_id: str) -> float:
        """The least share of settings in which any Config that was started on the node differs from this one.

        Settings are those that either gives. 0: the same Config ran there; 1: no setting is the same, or none ran.
        """
        return min((_difference(config, other) for other in self._started.get(node_id, ())), default=1.0)


def _difference(one: Config, other: Config) -> float:
    names = one.values.keys() | other.values.keys()
    if not names:
        return 0.0
    absent = object()
    differing = [name for name in names if one.values.get(name, absent) != other.values.get(name, absent)]
    return len(differing) / len(names)
