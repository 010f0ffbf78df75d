"""KnownNodes: which of a cluster's nodes may get which trial. Pure.

alive     what the cluster shows now
usable    of these, the ones that are neither drained nor in quarantine
open      of these, the ones that are no longer to be compared with their twins
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.followed_trial import Followed
from autotuner.tuning.decisions.node_health import NodeHealth, Quarantine
from autotuner.tuning.decisions.placement_policy import Need, Node, closed, fits_ever
from autotuner.tuning.decisions.twin_checks import TwinChecks


@dataclass(frozen=True)
class Places:
    """Where trials may go: ``nodes``, of which those that are to get none now are closed, and the ``usable`` ones."""

    nodes: Sequence[Node]
    usable: Sequence[Node]

    def could_hold(self, need: Need) -> bool:
        """Whether it is worth waiting for."""
        return fits_ever(need, self.usable)


class KnownNodes:
    def __init__(self, health: NodeHealth, twins: TwinChecks, seen: Iterable[Node] = ()) -> None:
        """``seen``: nodes that were there before the first trial."""
        self.health = health
        self._twins = twins
        self._seen = {node.node_id: node for node in seen}  # every node that ever was there: it may come back

    @property
    def seen(self) -> Sequence[Node]:
        return list(self._seen.values())

    def look(self, nodes: Sequence[Node], trials_left: int) -> None:
        """Takes in who is alive, and compares those that are alike."""
        self._seen |= {node.node_id: node for node in nodes}
        for slow in self._twins.look(self._but_sick(nodes), trials_left):
            self.health.slow(slow)

    def newly_sick(self, nodes: Sequence[Node], needs: Sequence[Need]) -> list[Quarantine]:
        """Nodes to close; as many stay as hold each of the ``needs``."""
        return self.health.newly_sick(self._usable(nodes), needs)

    def places(self, nodes: Sequence[Node]) -> Places:
        return Places(closed(self._but_sick(nodes), self._twins.undecided), self._usable(nodes))

    def could_ever_hold(self, need: Need) -> bool:
        """Whether a node that was there at any time could; nothing is known before the first look."""
        return not self._seen or fits_ever(need, self.seen)

    def start_check(self, nodes: Sequence[Node], rungs: int) -> Assignment | None:
        return self._twins.start_one(self._but_sick(nodes), rungs)

    def check_ended(self, trial: Followed) -> None:
        assignment = trial.assignment
        self._twins.ended(assignment.trial_id, trial.scores[-1] if trial.scores else None)
        if trial.failure is not None:
            self.health.failed(assignment.config, assignment.nodes, trial.failure)

    def _usable(self, nodes: Sequence[Node]) -> list[Node]:
        return [node for node in self._but_sick(nodes) if node.open]

    def _but_sick(self, nodes: Sequence[Node]) -> list[Node]:
        return closed(nodes, self.health.quarantined)
