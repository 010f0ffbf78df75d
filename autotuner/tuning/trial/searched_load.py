"""SearchedLoad: what a rung does differently where the largest load is searched for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

from autotuner.benchmark import LoadPoint, levels
from autotuner.benchmark.hopeless import LostAt
from autotuner.benchmark.load_search import LoadSearch, searchable_levels
from autotuner.metrics import LoadLevel, MeasureContext, Measurement, PointRun, measure
from autotuner.results.records import PointFailure
from autotuner.scoring import Holds, fewest_requests, holds, lost_at, with_max_load
from autotuner.servers import RunningServer
from autotuner.study.model import FindMaxLoad, Study
from autotuner.tuning.decisions.assignment import Assignment


@dataclass(frozen=True)
class SearchedLoad:
    study: Study
    assignment: Assignment
    context: MeasureContext

    @classmethod
    def of(cls, study: Study, assignment: Assignment, context: MeasureContext) -> Self | None:
        """``None`` where the levels are those that the study lists."""
        return cls(study, assignment, context) if isinstance(study.workload.load, FindMaxLoad) else None

    def plan(self, server: RunningServer) -> LoadSearch:
        """What is measured afresh begins near what the same Config held before, any other trial at the incumbent's
        load."""
        recorded = server.recorded_load
        return LoadSearch(
            self.study.workload,
            searchable_levels(self.study.workload, recorded),
            fewest_requests(self.study.slo),
            self.assignment.begin_at,
            near=self.assignment.phase.is_afresh,
            recorded={level: count for level, count in (recorded or {}).items() if count},
        )

    def watched(self, point: LoadPoint) -> LoadPoint:
        """A level's first load point, which ends as soon as it is sure that an SLO does not hold."""
        if point.first_index:
            return point
        limits = tuple(LostAt(*limit) for limit in lost_at(self.study.slo, point.requests))
        return replace(point, lost_at=limits)

    def holds(self, level: LoadLevel, runs: Sequence[PointRun]) -> Holds:
        return holds(measure(level, runs, self.context), self.study.slo)

    def found(self, measurements: Sequence[Measurement], cut: Sequence[PointFailure]) -> tuple[Measurement, ...]:
        """Each load that holds is marked; at the largest is told what kept the search from going on.

        ``cut``: load points that have no measurement.
        """
        marked = with_max_load(measurements, self.study.slo, self.context)
        held = [m.level for m in marked if "max_load" in m.metrics]
        if not held:
            return marked
        notes = [f"not measured: {failure.level}: {failure.failure}: {failure.message}" for failure in cut]
        if max(held) == levels(self.study.workload)[-1]:
            notes.append("it holds at workload.load.up_to, beyond which nothing was asked for")
        if not notes:
            return marked
        return tuple(replace(m, notes=(*m.notes, *notes)) if m.level == max(held) else m for m in marked)
