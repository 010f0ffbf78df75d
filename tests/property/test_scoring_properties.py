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
    Score,
    Select,
    better,
    infeasible_score,
    pareto_front,
    parse_objective,
    score_point,
    score_rung,
    select_best,
    told_value,
)
from autotuner.study.model import Slo

COLUMNS = ("ttft_p90_ms", "tpot_mean_ms", "e2e_p99_ms", "itl_p50_ms")
LEVEL = LoadLevel(LoadKind.CONCURRENCY, 1)
SELECTS: tuple[Select, ...] = ("slo_met", "score")
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
    rung = score_rung([measurement], [], slo, [objective])
    assert math.isfinite(rung.score)
    for select in SELECTS:
        merit = score_rung([measurement], [], slo, [objective], select).merit()
        assert math.isfinite(told_value(merit, objective.direction))


@given(measurements(), slos(), objectives)
def test_feasible_beats_infeasible_in_both_directions(measurement: Measurement, slo: Slo, objective: Objective) -> None:
    worst = infeasible_score(objective.direction)
    score = score_point(measurement, slo, objective)
    if score.feasible:
        assert better(score.score, worst, objective.direction)
    else:
        assert score.score == worst


@given(
    st.lists(measurements(), min_size=1, max_size=3),
    st.lists(measurements(), min_size=1, max_size=3),
    slos(),
    objectives,
)
def test_what_is_told_is_one_order(
    here: list[Measurement], there: list[Measurement], slo: Slo, objective: Objective
) -> None:
    """Nothing < infeasible < violating < meeting, whichever way the objective points; within them as it says."""
    a, b = (score_rung(points, [], slo, [objective]) for points in (here, there))
    told = told_value(a.merit(), objective.direction), told_value(b.merit(), objective.direction)
    grades = grade(a, objective), grade(b, objective)
    if grades[0] != grades[1]:
        assert better(*told, objective.direction) is (grades[0] > grades[1])
    elif grades == (2, 2) and better(*told, objective.direction):
        assert better(best_that_meets(a, objective), best_that_meets(b, objective), objective.direction)
    nothing = told_value(score_rung([], [], slo, [objective]).merit(), objective.direction)
    assert better(told[0], nothing, objective.direction)


def grade(score: Score, objective: Objective) -> int:
    """Of several load points one is chosen, or all count together."""
    is_one = objective.aggregate is Aggregate.BEST
    meets = any(point.slo_met for point in score.points) if is_one else score.slo_met
    return 2 if meets else int(score.feasible)


def best_that_meets(score: Score, objective: Objective) -> float:
    if objective.aggregate is Aggregate.MEAN:
        return score.score
    met = [point.score for point in score.points if point.slo_met]
    return min(met) if objective.direction is Direction.MIN else max(met)


@given(measurements(), measurements(), slos(), objectives)
def test_the_best_is_what_is_told_to_be(a: Measurement, b: Measurement, slo: Slo, objective: Objective) -> None:
    for select in SELECTS:
        scores = {name: score_rung([m], [], slo, [objective], select) for name, m in (("a", a), ("b", b))}
        told = {name: told_value(score.merit(), objective.direction) for name, score in scores.items()}
        best = select_best(scores, objective, select)
        if best is not None:
            other = "b" if best.trial_id == "a" else "a"
            assert not better(told[other], told[best.trial_id], objective.direction)


@given(
    value=st.floats(1e-3, 1e6),
    over=st.tuples(st.floats(1e-3, 1e9), st.floats(1.0001, 1e3)),
    steepness=st.floats(0.01, 10),
    objective=first_objectives,
)
def test_a_lesser_violation_is_told_apart_however_far_the_slo_is(
    value: float, over: tuple[float, float], steepness: float, objective: Objective
) -> None:
    slo = Slo.model_validate({"ttft": {"p90": {"threshold_ms": 1.0}}, "steepness": steepness})

    def told(ratio: float) -> float:
        measured = Measurement(LEVEL, 10, 0, {objective.column: value, "ttft_p90_ms": 1 + ratio})
        return told_value(score_rung([measured], [], slo, [objective]).merit(), objective.direction)

    near = over[0]
    assert better(told(near), told(near * over[1]), objective.direction)


@given(
    values=st.tuples(st.floats(1e-3, 1e6), st.floats(1e-3, 1e6)),
    over=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    objective=first_objectives,
)
def test_scores_within_their_range_rank_as_they_are_where_the_slos_are_ignored(
    values: tuple[float, float], over: tuple[float, float], objective: Objective
) -> None:
    slo = Slo.model_validate({"tpot": {"mean": {"threshold_ms": 100.0}}})
    rungs = [
        score_rung(
            [Measurement(LEVEL, 10, 0, {objective.column: value, "tpot_mean_ms": 100 * (1 + ratio)})],
            [],
            slo,
            [objective],
            "score",
        )
        for value, ratio in zip(values, over, strict=True)
    ]
    told = [told_value(rung.merit(), objective.direction) for rung in rungs]
    a, b = (rung.score for rung in rungs)
    if abs(a - b) > 1e-9 * max(a, b):
        assert better(told[0], told[1], objective.direction) is better(a, b, objective.direction)


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
