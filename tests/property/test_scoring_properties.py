from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotuner.metrics import LoadKind, LoadLevel, Measurement
from autotuner.scoring import (
    OBJECTIVES,
    Aggregate,
    Direction,
    Objective,
    better,
    infeasible_score,
    pareto_front,
    parse_objective,
    score_point,
    score_rung,
    told_value,
)
from autotuner.study.model import Slo

COLUMNS = ("ttft_p90_ms", "tpot_mean_ms", "e2e_p99_ms", "itl_p50_ms")
any_float = st.floats(allow_nan=True, allow_infinity=True)
non_negative = st.floats(0, 1e300)
objectives = st.sampled_from(OBJECTIVES)
first_objectives = st.sampled_from([parse_objective(name) for name in ("throughput", "cost_per_mtok", "e2e_mean")])


@st.composite
def slos(draw: st.DrawFn, hard: bool | None = None) -> Slo:
    def term() -> dict[str, Any]:
        return {
            "threshold_ms": draw(st.floats(1e-6, 1e12)),
            "weight": draw(st.floats(1e-6, 1e12)),
            "hard_fail": draw(st.booleans()) if hard is None else hard,
            "fail_ratio": draw(st.floats(0, 100)),
            "fail_fraction": draw(st.none() | st.floats(0.01, 1)),
        }

    sections: dict[str, Any] = {}
    for column in draw(st.sets(st.sampled_from(COLUMNS))):
        metric, statistic, _ = column.split("_")
        sections[metric] = {statistic: term()}
    curve = draw(st.sampled_from(["exponential", "smooth"]))
    return Slo.model_validate(sections | {"steepness": draw(st.floats(1e-6, 1e6)), "curve": curve})


@st.composite
def measurements(draw: st.DrawFn, values: st.SearchStrategy[float] = non_negative) -> Measurement:
    wanted = {*COLUMNS, *(o.column for o in OBJECTIVES)}
    metrics = {c: draw(values) for c in sorted(wanted) if draw(st.integers(0, 9))}
    samples = {m: np.array(draw(st.lists(non_negative, max_size=4))) for m in ("ttft", "tpot", "itl", "e2e")}
    requests = draw(st.integers(0, 1000))
    errors = draw(st.integers(0, requests))
    level = LoadLevel(LoadKind.CONCURRENCY, draw(st.integers(1, 64)))
    return Measurement(level, requests, errors, metrics, samples, draw(st.none() | st.just("hopeless")))


@given(measurements(any_float), slos(), objectives)
def test_scores_are_finite_for_any_input(measurement: Measurement, slo: Slo, objective: Objective) -> None:
    score = score_point(measurement, slo, objective)
    assert math.isfinite(score.score)
    assert math.isfinite(score.penalty)
    assert math.isfinite(told_value(score.score, objective.direction))
    rung = score_rung([measurement], [], slo, [objective])
    assert math.isfinite(rung.score)


@given(measurements(), slos(), objectives)
def test_feasible_beats_infeasible_in_both_directions(measurement: Measurement, slo: Slo, objective: Objective) -> None:
    worst = infeasible_score(objective.direction)
    score = score_point(measurement, slo, objective)
    if score.feasible:
        assert better(score.score, worst, objective.direction)
        told = told_value(score.score, objective.direction), told_value(worst, objective.direction)
        assert better(*told, objective.direction)
    else:
        assert score.score == worst


@given(
    value=st.floats(1e-3, 1e6),
    slo=slos(hard=False),
    column=st.sampled_from(COLUMNS),
    levels=st.tuples(st.floats(0, 1e15), st.floats(0, 1e15)),
    objective=first_objectives,
)
def test_scores_are_monotone_in_each_violation(
    value: float, slo: Slo, column: str, levels: tuple[float, float], objective: Objective
) -> None:
    def score(latency: float) -> float:
        level = LoadLevel(LoadKind.CONCURRENCY, 1)
        return score_point(Measurement(level, 10, 0, {objective.column: value, column: latency}), slo, objective).score

    low, high = sorted(levels)
    assert not better(score(high), score(low), objective.direction)


@given(
    st.lists(measurements(), min_size=1, max_size=4),
    st.integers(0, 2),
    measurements(),
    slos(),
    st.sampled_from([o for o in OBJECTIVES if o.aggregate is Aggregate.MEAN]),
)
def test_an_infeasible_level_never_helps_a_latency_objective(
    points: list[Measurement], failed: int, extra: Measurement, slo: Slo, objective: Objective
) -> None:
    gone = [f"concurrency {n}" for n in range(failed)]
    before = score_rung(points, gone, slo, [objective])
    after_failed = score_rung(points, [*gone, "concurrency 999"], slo, [objective])
    assert not better(after_failed.score, before.score, objective.direction)
    if not score_point(extra, slo, objective).feasible:
        after = score_rung([*points, extra], gone, slo, [objective])
        assert not better(after.score, before.score, objective.direction)


@given(
    st.lists(measurements(), min_size=1, max_size=4),
    measurements(),
    slos(),
    st.sampled_from([o for o in OBJECTIVES if o.aggregate is Aggregate.BEST]),
)
def test_a_failed_level_does_not_void_the_others(
    points: list[Measurement], extra: Measurement, slo: Slo, objective: Objective
) -> None:
    before = score_rung(points, [], slo, [objective])
    assert score_rung(points, ["concurrency 999"], slo, [objective]).score == before.score
    if not score_point(extra, slo, objective).feasible:
        assert score_rung([*points, extra], [], slo, [objective]).score == before.score


small = st.integers(-3, 3).map(float) | st.sampled_from([math.inf, -math.inf, -0.0])


@settings(max_examples=300)
@pytest.mark.parametrize("k", [1, 2, 3, 4])
@given(data=st.data())
def test_pareto_front_is_what_brute_force_finds(k: int, data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.tuples(*[small] * k), max_size=24))
    directions = data.draw(st.tuples(*[st.sampled_from(Direction)] * k))

    def dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
        pairs = [(x, y) if d is Direction.MIN else (y, x) for x, y, d in zip(a, b, directions, strict=True)]
        return all(x <= y for x, y in pairs) and any(x < y for x, y in pairs)

    expected = [i for i, row in enumerate(rows) if not any(dominates(other, row) for other in rows)]
    assert pareto_front(np.array(rows).reshape(-1, k), directions).tolist() == expected
