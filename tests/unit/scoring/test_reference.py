"""The reference values of the design, worked out by hand there."""

from __future__ import annotations

import math

import numpy as np
import pytest

from autotuner.errors import InputError, StudyError
from autotuner.metrics import LoadKind, LoadLevel, Measurement
from autotuner.scoring import (
    Direction,
    Tier,
    better,
    infeasible_score,
    judge_slo,
    pareto_front,
    parse_objective,
    score_point,
    score_rung,
    select_best,
    select_closest,
)
from autotuner.study.model import Slo

E2E = parse_objective("e2e_mean")
THROUGHPUT = parse_objective("throughput")
GOODPUT = parse_objective("goodput")


def level(concurrency: float) -> LoadLevel:
    return LoadLevel(LoadKind.CONCURRENCY, concurrency)


def point(
    concurrency: float = 1,
    *,
    errors: int = 0,
    stopped_early: str | None = None,
    samples: dict[str, list[float]] | None = None,
    **metrics: float,
) -> Measurement:
    arrays = {name: np.array(values, dtype=np.float64) for name, values in (samples or {}).items()}
    return Measurement(level(concurrency), 100, errors, metrics, arrays, stopped_early)


def slo(**sections: object) -> Slo:
    return Slo.model_validate(sections)


def test_reference_one_violation() -> None:
    limits = slo(e2e={"p90": {"threshold_ms": 5000, "weight": 2}})
    score = score_point(point(e2e_mean_ms=3000, e2e_p90_ms=5500), limits, E2E)
    assert score.penalty == pytest.approx(2 * math.e)
    assert score.score == pytest.approx(19_309.7, rel=1e-4)
    assert score.feasible
    assert not score.slo_met


def test_reference_four_violations() -> None:
    limits = slo(
        e2e={
            "p50": {"threshold_ms": 2000, "weight": 1},
            "p90": {"threshold_ms": 5000, "weight": 2},
            "p99": {"threshold_ms": 10_000, "weight": 3},
        },
        ttft={"mean": {"threshold_ms": 1000, "weight": 2}},
    )
    measured = point(e2e_mean_ms=2500, e2e_p50_ms=2300, e2e_p90_ms=5500, e2e_p99_ms=11_000, ttft_mean_ms=1200)
    score = score_point(measured, limits, E2E)
    penalties = {v.metric: v.penalty for v in score.violations}
    assert penalties["e2e_p50_ms"] == pytest.approx(4.48, abs=0.005)
    assert penalties["e2e_p90_ms"] == pytest.approx(5.44, abs=0.005)
    assert penalties["e2e_p99_ms"] == pytest.approx(8.15, abs=0.005)
    assert penalties["ttft_mean_ms"] == pytest.approx(14.78, abs=0.005)
    assert score.penalty == pytest.approx(32.85, abs=0.01)
    assert score.score == pytest.approx(84_630, rel=1e-3)


def test_maximised_scores_are_divided() -> None:
    limits = slo(ttft={"p90": {"threshold_ms": 100}})
    score = score_point(point(output_tokens_per_s=50, ttft_p90_ms=110), limits, THROUGHPUT)
    assert score.score == pytest.approx(50 / (1 + math.e))


def test_nothing_violated_adds_nothing() -> None:
    limits = slo(ttft={"p90": {"threshold_ms": 100}})
    score = score_point(point(output_tokens_per_s=50, ttft_p90_ms=100), limits, THROUGHPUT)
    assert (score.score, score.slo_met, score.violations) == (50, True, ())


def test_smooth_curve_starts_at_zero() -> None:
    def penalty(value: float, curve: str) -> float:
        return judge_slo(point(ttft_p90_ms=value), slo(ttft={"p90": {"threshold_ms": 100}}, curve=curve)).penalty

    assert penalty(100.001, "smooth") == pytest.approx(0, abs=1e-3)
    assert penalty(100.001, "exponential") == pytest.approx(1, abs=1e-3)
    assert penalty(110, "smooth") == pytest.approx(math.e - 1)


@pytest.mark.parametrize(("value", "tier"), [(1.2, Tier.MINOR), (1.21, Tier.SEVERE), (12.0, Tier.SEVERE)])
def test_tiers(value: float, tier: Tier) -> None:
    assert [
        v.tier for v in judge_slo(point(ttft_p90_ms=value), slo(ttft={"p90": {"threshold_ms": 1.0}})).violations
    ] == [tier]


def test_hard_fail_of_a_mean_is_by_its_ratio() -> None:
    limits = slo(ttft={"mean": {"threshold_ms": 100, "hard_fail": True}})
    over = score_point(point(output_tokens_per_s=1, ttft_mean_ms=151), limits, THROUGHPUT)
    under = score_point(point(output_tokens_per_s=1, ttft_mean_ms=149), limits, THROUGHPUT)
    assert (over.feasible, under.feasible) == (False, True)
    assert over.violations[0].tier is Tier.HARD
    assert "ttft_mean_ms" in over.reason


def test_hard_fail_of_a_percentile_needs_certainty() -> None:
    limits = slo(ttft={"p90": {"threshold_ms": 100, "hard_fail": True}})
    few = [50.0] * 8 + [400.0] * 2
    many = few * 50
    unsure = score_point(point(output_tokens_per_s=1, ttft_p90_ms=400, samples={"ttft": few}), limits, THROUGHPUT)
    sure = score_point(point(output_tokens_per_s=1, ttft_p90_ms=400, samples={"ttft": many}), limits, THROUGHPUT)
    assert (unsure.feasible, sure.feasible) == (True, False)


def test_hard_fail_by_the_fraction_of_requests() -> None:
    term = {"threshold_ms": 100, "hard_fail": True, "fail_fraction": 0.2}
    samples = {"ttft": [50.0] * 7 + [120.0] * 3}
    measured = point(output_tokens_per_s=1, ttft_p50_ms=50, samples=samples)
    assert not score_point(measured, slo(ttft={"p50": term}), THROUGHPUT).feasible
    assert score_point(measured, slo(ttft={"p50": term | {"fail_fraction": 0.3}}), THROUGHPUT).feasible
    assert score_point(measured, slo(ttft={"p50": term | {"hard_fail": False}}), THROUGHPUT).feasible


def test_errors_stops_and_missing_values_are_infeasible() -> None:
    limits = slo(error_rate=0.01)
    assert score_point(point(errors=1, output_tokens_per_s=1), limits, THROUGHPUT).feasible
    for measured in (
        point(errors=2, output_tokens_per_s=1),
        point(output_tokens_per_s=1, stopped_early="the queue grows"),
        point(e2e_mean_ms=1),
        point(output_tokens_per_s=math.nan),
        Measurement(level(1), 0, 0, {}),
    ):
        score = score_point(measured, limits, THROUGHPUT)
        assert (score.feasible, score.slo_met) == (False, False)
        assert score.score == infeasible_score(Direction.MAX)
        assert score.reason


@pytest.mark.parametrize("metrics", [{}, {"tpot_mean_ms": math.nan}])
def test_an_slo_that_nothing_was_measured_for_is_not_met(metrics: dict[str, float]) -> None:
    limits = slo(tpot={"mean": {"threshold_ms": 0.5}}, ttft={"p90": {"threshold_ms": 100}})
    measured = Measurement(level(1), 100, 0, {"output_tokens_per_s": 9, "ttft_p90_ms": 50, **metrics})
    assert judge_slo(measured, limits).unmeasured == ("tpot_mean_ms",)
    score = score_point(measured, limits, THROUGHPUT)
    assert (score.feasible, score.slo_met, score.violations) == (False, False, ())
    assert score.reason == "tpot_mean_ms has no value, so that its SLO can't be said to hold"
    assert not score_rung([measured], [], limits, [THROUGHPUT]).slo_met


def test_what_all_failed_is_infeasible_whatever_is_allowed() -> None:
    score = score_point(point(errors=100, output_tokens_per_s=0), slo(error_rate=1.0), THROUGHPUT)
    assert (score.feasible, score.reason) == (False, "no request succeeded")


@pytest.mark.parametrize(
    ("metrics", "feasible"),
    [
        ({"output_tokens_mean": 0.0}, False),
        ({"output_tokens_mean": 0.5}, True),
        ({"output_tokens_mean": 1.0, "output_share": 0.89}, False),
        ({"output_tokens_mean": 1.0, "output_share": 0.9}, True),
    ],
)
def test_who_does_not_do_the_work_is_infeasible(metrics: dict[str, float], feasible: bool) -> None:
    """However few tokens a second, and however many errors are allowed."""
    measured = Measurement(level(1), 100, 50, {"output_tokens_per_s": 9, **metrics})
    score = score_point(measured, slo(error_rate=1.0), THROUGHPUT)
    assert (score.feasible, score.slo_met) == (feasible, feasible)
    assert ("tokens" in score.reason) is not feasible


def test_throughput_takes_the_best_feasible_level_and_names_it() -> None:
    points = [
        point(1, output_tokens_per_s=10),
        point(8, output_tokens_per_s=50),
        point(32, errors=9, output_tokens_per_s=90),
    ]
    score = score_rung(points, [level(128)], slo(), [THROUGHPUT])
    assert (score.score, score.level, score.feasible, score.slo_met) == (50, level(8), True, True)


def test_cost_takes_the_cheapest_feasible_level() -> None:
    points = [point(1, cost_per_mtok=9.0), point(8, cost_per_mtok=2.0), point(32, cost_per_mtok=1.0, errors=50)]
    score = score_rung(points, [], slo(), [parse_objective("cost_per_mtok")])
    assert (score.score, score.level) == (2.0, level(8))


def test_latency_averages_all_levels() -> None:
    score = score_rung([point(1, e2e_mean_ms=100), point(8, e2e_mean_ms=300)], [], slo(), [E2E])
    assert (score.score, score.level, score.value) == (200, None, 200)


@pytest.mark.parametrize("failed", [[level(8)], ["concurrency 8"]])
def test_a_failed_level_makes_a_latency_objective_infeasible(failed: list[LoadLevel | str]) -> None:
    score = score_rung([point(1, e2e_mean_ms=100)], failed, slo(), [E2E])
    assert not score.feasible
    assert "concurrency 8" in score.reason


def test_nothing_measured_is_infeasible_in_every_objective() -> None:
    score = score_rung([], [level(1)], slo(), [THROUGHPUT, E2E])
    assert score.objectives == {
        "throughput": infeasible_score(Direction.MAX),
        "e2e_mean": infeasible_score(Direction.MIN),
    }
    assert not score.feasible


def test_several_objectives_the_first_scores() -> None:
    score = score_rung([point(1, output_tokens_per_s=10, e2e_mean_ms=100)], [], slo(), [THROUGHPUT, E2E])
    assert score.score == 10
    assert score.objectives == {"throughput": 10, "e2e_mean": 100}
    assert len(score.points) == 2


def test_the_best_meets_the_slos_if_any_does() -> None:
    limits = slo(ttft={"p90": {"threshold_ms": 100, "weight": 0.1}})
    fast = score_rung([point(8, output_tokens_per_s=100, ttft_p90_ms=101)], [], limits, [THROUGHPUT])
    kept = score_rung(
        [point(1, output_tokens_per_s=40, ttft_p90_ms=50), point(8, output_tokens_per_s=90, ttft_p90_ms=101)],
        [],
        limits,
        [THROUGHPUT],
    )
    failed = score_rung([], [level(1)], limits, [THROUGHPUT])
    scores = {"fast": fast, "kept": kept, "failed": failed}
    best = select_best(scores, THROUGHPUT)
    assert best is not None
    assert (best.trial_id, best.level, best.score, best.slo_met) == ("kept", level(1), 40, True)
    by_score = select_best(scores, THROUGHPUT, "score")
    assert by_score is not None
    assert by_score.trial_id == "fast"
    only = select_best({"fast": fast, "failed": failed}, THROUGHPUT)
    assert only is not None
    assert (only.trial_id, only.slo_met) == ("fast", False)
    assert select_best({"failed": failed}, THROUGHPUT) is None


def test_where_nothing_meets_the_slos_the_best_is_the_least_over_them() -> None:
    """Scores do not tell: both are 0, or next to it; and the faster one is further over."""
    limits = slo(ttft={"p90": {"threshold_ms": 1}})
    near = score_rung([point(8, goodput_per_s=0, ttft_p90_ms=900)], [], limits, [GOODPUT])
    far = score_rung([point(8, goodput_per_s=0, ttft_p90_ms=901)], [], limits, [GOODPUT])
    assert near.score == far.score == 0
    best = select_best({"far": far, "near": near}, GOODPUT)
    assert best is not None
    assert (best.trial_id, best.slo_met) == ("near", False)
    slow = score_rung([point(8, output_tokens_per_s=10, ttft_p90_ms=900)], [], limits, [THROUGHPUT])
    fast = score_rung([point(8, output_tokens_per_s=99, ttft_p90_ms=901)], [], limits, [THROUGHPUT])
    assert slow.score < fast.score, "both penalties are at their cap"
    best = select_best({"fast": fast, "slow": slow}, THROUGHPUT)
    assert best is not None
    assert best.trial_id == "slow"


def test_scores_alone_decide_where_the_slos_are_asked_to_be_ignored() -> None:
    limits = slo(ttft={"p90": {"threshold_ms": 1}})
    near = score_rung([point(8, output_tokens_per_s=10, ttft_p90_ms=900)], [], limits, [THROUGHPUT], "score")
    far = score_rung([point(8, output_tokens_per_s=99, ttft_p90_ms=950)], [], limits, [THROUGHPUT], "score")
    best = select_best({"far": far, "near": near}, THROUGHPUT, "score")
    assert best is not None
    assert best.trial_id == "near", "its penalty is that of 5 thresholds less, far more than ten times"


def test_a_rung_is_worth_its_level_that_meets_the_slos_though_another_scores_better() -> None:
    limits = slo(ttft={"p90": {"threshold_ms": 100, "weight": 0.1}})
    points = [point(1, output_tokens_per_s=40, ttft_p90_ms=50), point(8, output_tokens_per_s=90, ttft_p90_ms=101)]
    both = score_rung(points, [], limits, [THROUGHPUT])
    assert both.level == level(8)
    assert both.merit() == score_rung(points[:1], [], limits, [THROUGHPUT]).merit()
    alone = score_rung(points, [], limits, [THROUGHPUT], "score")
    assert alone.merit() == score_rung(points[1:], [], limits, [THROUGHPUT], "score").merit()


def test_the_violations_of_an_infeasible_rung_are_those_of_the_level_least_over() -> None:
    limits = slo(ttft={"p90": {"threshold_ms": 100}})
    points = [point(8, errors=9, ttft_p90_ms=400), point(1, errors=9, ttft_p90_ms=150)]
    rung = score_rung(points, [], limits, [THROUGHPUT])
    assert not rung.feasible
    assert [v.value for v in rung.violations] == [150]


def test_closest_has_the_least_violation() -> None:
    limits = slo(ttft={"p90": {"threshold_ms": 100}})
    near = score_rung([point(8, output_tokens_per_s=10, ttft_p90_ms=105)], [], limits, [THROUGHPUT])
    far = score_rung([point(8, output_tokens_per_s=900, ttft_p90_ms=140)], [], limits, [THROUGHPUT])
    closest = select_closest({"far": far, "near": near}, THROUGHPUT)
    assert closest is not None
    assert closest.trial_id == "near"
    assert closest.violations[0].ratio == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("name", "column", "direction"),
    [
        ("goodput_per_gpu", "goodput_per_s_per_gpu", Direction.MAX),
        ("throughput_per_cost", "output_tokens_per_cost", Direction.MAX),
        ("goodput_per_cost", "goodput_per_cost", Direction.MAX),
        ("itl_p95", "itl_p95_ms", Direction.MIN),
        ("cost_per_mtok", "cost_per_mtok", Direction.MIN),
        ("tokens_per_s_per_user", "tokens_per_s_per_user", Direction.MAX),
    ],
)
def test_objectives_by_name(name: str, column: str, direction: Direction) -> None:
    objective = parse_objective(name)
    assert (objective.column, objective.direction) == (column, direction)


def test_an_unknown_objective_names_the_nearest() -> None:
    with pytest.raises(StudyError, match="goodput_per_gpu") as caught:
        parse_objective("goodput_per_gpus")
    assert caught.value.nearest == "goodput_per_gpu"
    assert caught.value.key == "objective"


def test_better() -> None:
    assert better(1, 2, Direction.MIN)
    assert better(2, 1, Direction.MAX)
    assert not better(1, 1, Direction.MIN)


def test_pareto_front_refuses_nan_and_wrong_shapes() -> None:
    with pytest.raises(InputError, match="NaN"):
        pareto_front([[1.0, math.nan]], [Direction.MIN, Direction.MIN])
    with pytest.raises(InputError, match="shape"):
        pareto_front([[1.0, 2.0]], [Direction.MIN])
    assert pareto_front([], [Direction.MIN]).tolist() == []


def test_pareto_front_of_ten_thousand_points() -> None:
    x = np.arange(10_000.0)
    assert len(pareto_front(np.column_stack((x, x)), [Direction.MIN, Direction.MAX])) == 10_000
    assert pareto_front(np.column_stack((x, x)), [Direction.MAX, Direction.MAX]).tolist() == [9999]
