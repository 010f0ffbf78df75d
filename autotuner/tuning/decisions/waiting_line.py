"""WaitingLine: trials that were proposed and wait for their place. Pure.

A searcher's proposals grow stale while they wait, so that no more are asked for than the cluster has use for: one
when something is free, further ones only while none of those that wait fits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from autotuner.results.records import Phase
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.placement_policy import Need, Node, Start, Waiting, fits_ever, place
from autotuner.tuning.decisions.warm_nodes import WarmNodes

LOOK_AHEAD = 8  # proposals of a searcher that learns; of a list, all that there are


@dataclass
class _Place:
    assignment: Assignment
    own_need: Need
    need: Need
    overtaken: int = 0


class WaitingLine:
    def __init__(self) -> None:
        self._places: list[_Place] = []
        self._warm = WarmNodes()

    def __len__(self) -> int:
        return len(self._places)

    @property
    def assignments(self) -> list[Assignment]:
        return [place.assignment for place in self._places]

    def join(self, assignment: Assignment, need: Need, *, first: bool = False) -> None:
        self._places.insert(0 if first else len(self._places), _Place(assignment, need, need))

    @property
    def needs(self) -> list[Need]:
        return [place.need for place in self._places]

    def leave(self, trial_ids: Collection[str]) -> None:
        self._places = [p for p in self._places if p.assignment.trial_id not in trial_ids]

    def reconsider(self, need_of: Callable[[str, Need], Need]) -> None:
        """Asks again what each needs, by trial id and the need that it came with."""
        for waiting in self._places:
            waiting.need = need_of(waiting.assignment.trial_id, waiting.own_need)

    def start_one(self, nodes: Sequence[Node], usable: Sequence[Node]) -> tuple[Assignment, Need] | None:
        """The trial to start now, with its nodes; ``None`` when nothing may start.

        Baselines go before all others, which must not take what a baseline waits for: nodes of its GPU type, unless
        it would never fit on those that are ``usable``.
        """
        baselines = [p for p in self._places if p.assignment.phase is Phase.BASELINE]
        others = [p for p in self._places if p.assignment.phase is not Phase.BASELINE]
        start = self._place(baselines, nodes)
        if start is None:
            kept = [p.need for p in baselines if fits_ever(p.need, usable)]
            start = self._place(others, [n for n in nodes if not any(need.takes(n.accelerator) for need in kept)])
        return None if start is None else self._take(start)

    def start_first(self) -> tuple[Assignment, Need] | None:
        """The trial that waits longest, to be placed by Ray."""
        return self._take(Start(self._places[0].assignment.trial_id, ())) if self._places else None

    def _place(self, places: Sequence[_Place], nodes: Sequence[Node]) -> Start | None:
        waiting = [
            Waiting(p.assignment.trial_id, p.need, p.overtaken, partial(self._warm.coldness, p.assignment.config))
            for p in places
        ]
        return place(waiting, nodes)

    def _take(self, start: Start) -> tuple[Assignment, Need]:
        index = next(i for i, p in enumerate(self._places) if p.assignment.trial_id == start.key)
        taken = self._places.pop(index)
        for overtaken in self._places[:index]:
            overtaken.overtaken += 1
        self._warm.note(taken.assignment.config, start.nodes)
        return replace(taken.assignment, nodes=start.nodes), taken.need


def held_up(needs: Iterable[Need], nodes: Sequence[Node], alone: Sequence[Node]) -> Need | None:
    """The first need that fits on no node, and would on the same nodes ``alone``, where nobody else holds anything."""
    for need in dict.fromkeys(needs):
        asked = [Waiting("", need)]
        if place(asked, nodes) is None and place(asked, alone) is not None:
            return need
    return None


def has_room(nodes: Sequence[Node], default: Need) -> bool:
    """Whether anything is free that a trial could use: of GPUs, where the default needs one."""
    on_gpus = any(share.gpus for share in default.shares)
    return any(node.open and (node.free_gpus > 0 if on_gpus else node.free_cpus >= 1) for node in nodes)
