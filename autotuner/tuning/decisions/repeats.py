"""Which failures are repeated before they are believed, on another node where there is one, and how often. Pure.

CRASH, HANG, STARTUP_TIMEOUT       once: it may have been the node
INFRASTRUCTURE, CLIENT_SATURATED   twice, without another node once: they say nothing about the Config
the trial's process lost           three times: a node went, or its worker
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product

from autotuner.errors import Failure
from autotuner.tuning.decisions.placement_policy import Need, Node, fits_ever

DOUBTED = frozenset({Failure.CRASH, Failure.HANG, Failure.STARTUP_TIMEOUT})
INNOCENT = frozenset(failure for failure in Failure if not failure.blames_config)
_TIMES_DOUBTED = 1
_TIMES_INNOCENT = 2
_TIMES_LOST = 3


@dataclass
class Repeats:
    """What befell one trial so far. ``failed_at``: the nodes of each failure, to which it is not to go again where
    others will do; of several, one may have been to blame."""

    doubted: int = 0
    innocent: int = 0
    lost: int = 0
    failed_at: list[frozenset[str]] = field(default_factory=list)

    def may_follow_a_loss(self) -> bool:
        return self.lost < _TIMES_LOST

    def repeat_on(self, need: Need, here: Sequence[str], nodes: Sequence[Node]) -> frozenset[Failure]:
        """The failures that would be repeated, were the trial to run ``here``."""
        if _elsewhere(need, [*self.failed_at, frozenset(here)], nodes) is None:
            return frozenset() if self.innocent else INNOCENT
        doubted = DOUBTED if self.doubted < _TIMES_DOUBTED else frozenset()
        return doubted | (INNOCENT if self.innocent < _TIMES_INNOCENT else frozenset())

    def note(self, failure: Failure | None, here: Sequence[str]) -> None:
        """A failure that is to be repeated; ``None``: the trial's process was lost."""
        self.failed_at.append(frozenset(here))
        if failure is None:
            self.lost += 1
        elif failure in DOUBTED:
            self.doubted += 1
        else:
            self.innocent += 1

    def need(self, need: Need, nodes: Sequence[Node]) -> Need:
        """``need`` away from the nodes that it failed on, where it fits elsewhere."""
        return (_elsewhere(need, self.failed_at, nodes) or need) if self.failed_at else need


def _elsewhere(need: Need, places: Sequence[frozenset[str]], nodes: Sequence[Node]) -> Need | None:
    """``need`` away from all nodes of these places or, where that fits nowhere, from one node of each."""
    for avoid in (frozenset().union(*places), *map(frozenset, product(*map(sorted, places)))):
        away = replace(need, avoid=need.avoid | avoid)
        if fits_ever(away, nodes):
            return away
    return None
