"""Which failures are repeated before they are believed, on another node where there is one, and how often. Pure.

CRASH, HANG, STARTUP_TIMEOUT       once: it may have been the node
INFRASTRUCTURE, CLIENT_SATURATED   twice, without another node once: they say nothing about the Config
the trial's process lost           three times: a node went, or its worker
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from autotuner.errors import Failure
from autotuner.tuning.placement_policy import Need, Node, fits_ever

DOUBTED = frozenset({Failure.CRASH, Failure.HANG, Failure.STARTUP_TIMEOUT})
INNOCENT = frozenset(failure for failure in Failure if not failure.blames_config)
_TIMES_DOUBTED = 1
_TIMES_INNOCENT = 2
_TIMES_LOST = 3


@dataclass
class Repeats:
    """What befell one trial so far. ``failed_on``: ids of the nodes it is not to go to again, if others will do."""

    doubted: int = 0
    innocent: int = 0
    lost: int = 0
    failed_on: set[str] = field(default_factory=set)

    def may_follow_a_loss(self) -> bool:
        return self.lost < _TIMES_LOST

    def repeat_on(self, need: Need, here: Sequence[str], nodes: Sequence[Node]) -> frozenset[Failure]:
        """The failures that would be repeated, were the trial to run ``here``."""
        if not fits_ever(self._avoiding(need, here), nodes):
            return frozenset() if self.innocent else INNOCENT
        doubted = DOUBTED if self.doubted < _TIMES_DOUBTED else frozenset()
        return doubted | (INNOCENT if self.innocent < _TIMES_INNOCENT else frozenset())

    def note(self, failure: Failure | None, here: Sequence[str]) -> None:
        """A failure that is to be repeated; ``None``: the trial's process was lost."""
        self.failed_on |= set(here)
        if failure is None:
            self.lost += 1
        elif failure in DOUBTED:
            self.doubted += 1
        else:
            self.innocent += 1

    def need(self, need: Need, nodes: Sequence[Node]) -> Need:
        """``need`` away from the nodes that it failed on, where it fits elsewhere."""
        elsewhere = self._avoiding(need, ())
        return elsewhere if self.failed_on and fits_ever(elsewhere, nodes) else need

    def _avoiding(self, need: Need, here: Sequence[str]) -> Need:
        return replace(need, avoid=need.avoid | self.failed_on | set(here))
