"""Proposals: what the searcher proposes, less what no node can hold. Pure.

no node ever could        told as infeasible, and never handed out
none can any more         waits for a node to come back; beyond a few of these the searcher is told of nothing known
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autotuner.scoring import Objective
from autotuner.space.config import Config
from autotuner.tuning.known_nodes import KnownNodes, Places
from autotuner.tuning.outcome import refused
from autotuner.tuning.placement_policy import Need
from autotuner.tuning.proposers import Outcome, OutcomeKind, Proposer
from autotuner.tuning.waiting_line import LOOK_AHEAD

_MOST_REFUSED = 1000  # proposals in a row that fit no node, after which the space is taken for exhausted
_MOST_HOMELESS = 50  # in a row that none can hold any more, after which no more are asked for on the same nodes


class Proposals:
    def __init__(
        self,
        proposer: Proposer,
        need_of: Callable[[Config], Need],
        nodes: KnownNodes,
        objectives: Sequence[Objective],
    ) -> None:
        self._proposer = proposer
        self._need_of = need_of
        self._nodes = nodes
        self._objectives = objectives
        self._no_use_on: frozenset[str] | None = None
        self.is_exhausted = False
        self.refused: list[Config] = []  # that fit no node, in their order

    def next(self, trial_id: str, places: Places | None, waiting: Sequence[Need]) -> Config | None:
        """The next Config for the trial of that id; ``None``: none now, or, where ``is_exhausted``, none at all.

        ``waiting``: what the trials need that wait already.
        """
        usable = frozenset(node.node_id for node in places.usable) if places is not None else None
        if self.is_exhausted or (usable is not None and usable == self._no_use_on):
            return None
        may_wait = (
            not self._proposer.learns
            or places is None
            or sum(not places.could_hold(need) for need in waiting) < LOOK_AHEAD
        )
        homeless = 0
        for _ in range(_MOST_REFUSED):
            proposed = self._proposer.propose(trial_id)
            if proposed is None:
                break
            need = self._need_of(proposed)
            if not self._nodes.could_ever_hold(need):
                self.refused.append(proposed)
                self._proposer.tell(trial_id, refused(self._objectives))
                continue
            if may_wait or places is None or places.could_hold(need):
                return proposed
            self._proposer.tell(trial_id, Outcome(OutcomeKind.UNKNOWN))
            homeless += 1
            if homeless == _MOST_HOMELESS:
                self._no_use_on = usable
                return None
        self.is_exhausted = True
        return None
