"""LevelState: what a trial that is cut by levels has tried so far, and what is left for its next rungs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from autotuner.benchmark import ListPlan, levels, plan_levels
from autotuner.benchmark.traffic.level_cut import level_order
from autotuner.metrics.load_level import LoadLevel
from autotuner.results.records import RungRecord
from autotuner.scoring import Aggregate, Objective, PointScore
from autotuner.study.model import Study
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.probing import begun_with, first_level


class LevelState:
    """Of one trial, over all its lives. ``records`` are those of rungs that ended in an earlier one."""

    def __init__(
        self, study: Study, assignment: Assignment, objectives: Sequence[Objective], records: Sequence[RungRecord]
    ) -> None:
        self._workload = study.workload
        self._rungs = assignment.rungs
        self._every = levels(study.workload)
        self._averages = any(objective.aggregate is Aggregate.MEAN for objective in objectives)
        self._selects_met = study.search.select == "slo_met"
        first = begun_with(records) or assignment.probe
        self._first = first or first_level(self._every, objectives[0])
        self._tried: set[LoadLevel] = set()
        self._broken: set[LoadLevel] = set()
        for record in records:
            names = {failure.level for failure in record.failures}
            self._tried |= {level for level in self._every if str(level) in names}
            self.judge(record.score.points)

    def plan(self, rung: int, done: Collection[LoadLevel], given_up: Collection[LoadLevel]) -> ListPlan:
        """``done``: measured, or failed at by the Config's own fault; ``given_up``: while they were measured."""
        broken = {*given_up, *self._broken}
        return plan_levels(
            self._workload, self._first, rung, self._rungs, done=done, tried=self._tried - set(done), broken=broken
        )

    def is_complete(self, rung: int, done: Collection[LoadLevel], given_up: Collection[LoadLevel]) -> bool:
        """Whether nothing is left to measure after this rung."""
        return rung >= self._rungs - 1 or self.plan(rung + 1, done, given_up).next([]) is None

    def try_level(self, level: LoadLevel) -> None:
        self._tried.add(level)

    def judge(self, points: Iterable[PointScore]) -> None:
        """Notes the levels above which nothing is to be hoped for.

        An objective that averages its levels needs all of them; where scores count and SLOs do not, a level that
        breaks an SLO may still have the best score.
        """
        if self._averages:
            return
        for point in points:
            if point.violates_for_sure if self._selects_met else not point.feasible:
                self._broken.add(point.level)

    def breaks(self, level: LoadLevel) -> bool:
        return level in self._broken

    def fails(self, level: LoadLevel) -> None:
        """The Config failed there by its own fault, while its servers live."""
        if not self._averages:
            self._broken.add(level)

    def lost(self, measured: Collection[LoadLevel], *, is_complete: bool) -> list[LoadLevel]:
        """The levels that a score must count as failed: none that is yet to be measured, or was passed over as it
        lies above one that broke."""
        return [
            level
            for level in self._every
            if level not in measured and (level in self._tried or (is_complete and self._averages))
        ]

    @property
    def order(self) -> tuple[LoadLevel, ...]:
        return level_order(self._every, self._first)
