"""What a StudyRun needs of the world: a view of the nodes, and the study's store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from autotuner.results.records import TrialRecord, Usage
from autotuner.results.waits import Holder
from autotuner.tuning.decisions.placement_policy import Need, Node, Share
from autotuner.tuning.held_up import WaitStore
from autotuner.tuning.trial.trial_store import TrialStore


class NodeView(Protocol):
    """The cluster, as far as placement looks at it."""

    def nodes(self, taken: Mapping[str, Sequence[Share]]) -> Sequence[Node]:
        """Live nodes with what is free on them; ``taken``: node id → shares of the study's running trials."""
        ...

    def name_of(self, node_id: str) -> str: ...

    def is_alive(self, node_id: str) -> bool: ...

    def unshared(self, taken: Mapping[str, Sequence[Share]]) -> Sequence[Node]:
        """As ``nodes``, if nobody else held anything."""
        ...

    def held_up_in_ray(self) -> Need | None:
        """What waits in Ray for its place, and would not if nobody else held anything."""
        ...

    def holders(self, need: Need) -> Sequence[Holder]:
        """Who else holds what on the nodes where a trial could go."""
        ...


class StudyStore(TrialStore, WaitStore, Protocol):
    def hand_out(self, record: TrialRecord) -> None:
        """The trial holds what it reserves from ``started_at`` on."""
        ...

    def pause(self, trial_id: str, held_s: float) -> None:
        """The trial holds nothing for a while; ``held_s``: seconds for which it did since it was handed out."""
        ...

    def go_on(self, trial_id: str, held_s: float) -> None:
        """It holds again what it had held for ``held_s`` before its pause."""
        ...

    def note_alive(self) -> None:
        """Should the driver be killed, what trials hold is counted up to now at least."""
        ...

    def take_back(self, trial_id: str, held_s: float) -> Usage:
        """Refuses what the trial's present process would yet write of it; returns what it has used.

        ``held_s``: seconds for which it held what it reserves since it was handed out.
        """
        ...

    def add_quarantine(self, node: str, reason: str) -> None: ...
