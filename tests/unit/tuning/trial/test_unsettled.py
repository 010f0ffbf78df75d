"""Which load points get as many requests again, since their SLOs may hold or not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.metrics.measurement import Measurement
from autotuner.scoring import Objective, PointScore, Select, Violation
from autotuner.scoring.merit import Merit, make_merit
from autotuner.scoring.score import Tier
from autotuner.tuning.trial.unsettled import unsettled
from tests.tuning_parts import LATENCY, THROUGHPUT

COLUMN = "ttft_p90_ms"


def at(value: float) -> LoadLevel:
    return LoadLevel(LoadKind.CONCURRENCY, value)


def point(level: float, value: float, *, unsure: bool = False, over: bool = False) -> PointScore:
    violations = (Violation(COLUMN, 110.0, 100.0, 0.1, 1.0, Tier.MINOR),) if over else ()
    columns = (COLUMN,) if unsure else ()
    return PointScore(
        at(level), "throughput", value, value, True, not over, violations=violations, excess=float(over), unsure=columns
    )


def found(
    *points: PointScore,
    samples: int = 100,
    objective: Objective = THROUGHPUT,
    select: Select = "slo_met",
    to_beat: float | None = None,
) -> list[float]:
    own = [dataclasses.replace(p, objective=objective.name) for p in points]
    measured = {p.level: Measurement(p.level, samples, 0, {}, {"ttft": np.ones(samples)}) for p in own}
    bar: Merit | None = None
    if to_beat is not None:
        bar = make_merit([(to_beat, 0.0)], objective.direction, "slo_met", feasible=True)
    return [level.value for level in unsettled(own, measured, objective, select, bar)]


@pytest.mark.parametrize("over", [True, False])
def test_the_best_level_is_asked_again_where_it_may_meet_its_slos_or_not(over: bool) -> None:
    assert found(point(1, 50), point(8, 90, unsure=True, over=over)) == [8]


def test_a_better_level_that_is_sure_decides_and_one_that_is_over_for_sure_does_not() -> None:
    assert found(point(1, 50, unsure=True), point(8, 90)) == []
    assert found(point(1, 50, unsure=True), point(8, 90, over=True)) == [1]
    assert found(point(1, 50, over=True), point(8, 90, over=True)) == []


def test_it_is_not_asked_what_could_not_be_the_best_anyway() -> None:
    unsure = point(8, 90, unsure=True)
    assert found(unsure, to_beat=80) == [8]
    assert found(unsure, to_beat=100) == []


def test_it_is_not_asked_where_twice_as_many_requests_could_not_tell() -> None:
    """The 90th percentile of fewer than 36 has no upper end."""
    assert found(point(8, 90, unsure=True), samples=18) == [8]
    assert found(point(8, 90, unsure=True), samples=17) == []


def test_a_mean_of_levels_needs_all_of_them_and_none_that_is_over_for_sure() -> None:
    unsure = [point(1, 50, unsure=True), point(8, 90), point(32, 95, unsure=True, over=True)]
    assert found(*unsure, objective=LATENCY) == [1, 32]
    assert found(*unsure, point(64, 99, over=True), objective=LATENCY) == []


def test_where_scores_count_and_slos_do_not_nothing_is_open() -> None:
    assert found(point(8, 90, unsure=True), select="score") == []
    assert found() == []
