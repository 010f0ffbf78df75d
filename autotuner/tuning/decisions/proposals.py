"""Proposals: what the searcher proposes, less what no node can hold. Pure.

no node ever could        told as infeasible, and not handed out; of a list, kept for a node that joins
none can any more         waits for a node to come back; beyond a few of these the searcher is told of nothing known
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from autotuner.scoring import Objective
from autotuner.space.config import Config
from autotuner.tuning.decisions.known_nodes import KnownNodes, Places
from autotuner.tuning.decisions.outcome import refused
from autotuner.tuning.decisions.placement_policy import Need
from autotuner.tuning.decisions.waiting_line import LOOK_AHEAD
from autotuner.tuning.proposers import Outcome, OutcomeKind, Proposer

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
        self._is_at_end = False
        self._set_aside: list[Config] = []  # of a list, which proposes a Config once
        self._come_back: list[Config] = []
        self._nodes_known = 0  # when what is set aside was last looked at
        self.refused: list[Config] = []  # that fit no node, in their order

    @property
    def is_exhausted(self) -> bool:
        """Whether there is nothing more to propose, unless a node joins."""
        return self._is_at_end and not self._fitting_by_now()

    def end(self) -> None:
        """Nothing is proposed any more."""
        self._is_at_end = True
        self._set_aside, self._come_back = [], []

    def next(self, trial_id: str, places: Places | None, waiting: Sequence[Need]) -> Config | None:
        """The next Config for the trial of that id; ``None``: none now, or, where ``is_exhausted``, none at all.

        ``waiting``: what the trials need that wait already.
        """
        if self._fitting_by_now():
            return self._come_back.pop(0)
        usable = frozenset(node.node_id for node in places.usable) if places is not None else None
        if self._is_at_end or (usable is not None and usable == self._no_use_on):
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
                if not self._proposer.learns:
                    self._set_aside.append(proposed)
                continue
            if may_wait or places is None or places.could_hold(need):
                return proposed
            self._proposer.tell(trial_id, Outcome(OutcomeKind.UNKNOWN))
            homeless += 1
            if homeless == _MOST_HOMELESS:
                self._no_use_on = usable
                return None
        self._is_at_end = True
        return None

    def _fitting_by_now(self) -> list[Config]:
        """Those that were set aside and that fit a node that has joined since."""
        if self._nodes_known != len(self._nodes.seen):
            self._nodes_known = len(self._nodes.seen)
            fitting = {c: self._nodes.could_ever_hold(self._need_of(c)) for c in self._set_aside}
            self._come_back += [config for config in self._set_aside if fitting[config]]
            self._set_aside = [config for config in self._set_aside if not fitting[config]]
        return self._come_back
