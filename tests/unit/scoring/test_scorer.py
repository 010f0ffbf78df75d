"""From load points to the score of a rung: why a point counts for nothing, and what a rung takes from its points."""

from __future__ import annotations

import math

import pytest

from autotuner.metrics import LoadKind, LoadLevel, Measurement
from autotuner.scoring import (
    Direction,
    Merit,
    PointScore,
    Score,
    choices,
    infeasible_score,
    parse_objective,
    penalised,
    score_point,
    score_rung,
    select_best,
    select_closest,
)
from autotuner.study.model import Slo

THROUGHPUT, E2E = parse_objective("throughput"), parse_objective("e2e_mean")
SLO = Slo.model_validate({"ttft": {"p90": {"threshold_ms": 100}}})
FREE = Slo()


def level(concurrency: float) -> LoadLevel:
    return LoadLevel(LoadKind.CONCURRENCY, concurrency)


def point(concurrency: float = 1, *, requests: int = 100, errors: int = 0, **metrics: float) -> Measurement:
    return Measurement(level(concurrency), requests, errors, metrics)


# ── numbers ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "penalty", "direction", "score"),
    [
        (8.0, 3.0, Direction.MIN, 32.0),
        (8.0, 3.0, Direction.MAX, 2.0),
        (8.0, 0.0, Direction.MAX, 8.0),
        (1e10, 1e25, Direction.MIN, 1e29),  # never as much as what is infeasible
        (1.0, 1e300, Direction.MIN, 1e25),  # the penalty's own cap
        (1e25, 1e300, Direction.MAX, 1.0),
        (-5.0, 0.0, Direction.MAX, 0.0),  # never as little
        (1e300, 0.0, Direction.MAX, 1e29),
    ],
)
def test_a_penalty_multiplies_what_is_to_be_less_and_divides_what_is_to_be_more(
    value: float, penalty: float, direction: Direction, score: float
) -> None:
    assert penalised(value, penalty, direction) == pytest.approx(score)


def test_infeasible_is_worse_than_any_score() -> None:
    assert (infeasible_score(Direction.MIN), infeasible_score(Direction.MAX)) == (1e30, -1.0)


# ── one point ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("measured", "reason"),
    [
        (point(requests=0, output_tokens_per_s=1), "no request ended"),
        (point(requests=1, errors=1, output_tokens_per_s=1), "no request succeeded"),
        (point(errors=2, output_tokens_per_s=1), "error_rate is 2.0%, more than 1.0%"),
        (point(output_tokens_per_s=1, output_tokens_mean=0), "the answers have no tokens"),
        (
            point(output_tokens_per_s=1, output_share=0.5),
            "answers have 50% of the tokens that were asked for, less than 90%",
        ),
        (point(output_tokens_per_s=math.inf), "output_tokens_per_s could not be had"),
        (point(), "output_tokens_per_s could not be had"),
        (
            point(errors=50, output_share=0.1),
            "error_rate is 50.0%, more than 1.0%; answers have 10% of the tokens that were asked for, less than 90%; "
            "output_tokens_per_s could not be had",
        ),
    ],
)
def test_a_point_that_counts_for_nothing_says_every_reason(measured: Measurement, reason: str) -> None:
    scored = score_point(measured, FREE, THROUGHPUT)
    assert (scored.feasible, scored.slo_met, scored.score, scored.reason) == (False, False, -1.0, reason)


def test_a_share_of_errors_that_is_allowed_is_no_reason() -> None:
    assert score_point(point(errors=1, output_tokens_per_s=1), FREE, THROUGHPUT).reason == ""
    assert score_point(point(requests=2, errors=1, output_tokens_per_s=1), Slo(error_rate=0.5), THROUGHPUT).feasible


def test_a_point_of_which_nothing_else_is_said_keeps_its_slos() -> None:
    plain = PointScore(level(1), "throughput", 1.0, 1.0, feasible=True, slo_met=True)
    assert (plain.penalty, plain.excess, plain.violations, plain.reason) == (0, 0, (), "")


def test_a_value_of_0_is_one() -> None:
    scored = score_point(point(output_tokens_per_s=0.0), FREE, THROUGHPUT)
    assert (scored.feasible, scored.slo_met, scored.value, scored.score) == (True, True, 0.0, 0.0)


def test_a_point_over_an_slo_is_feasible_and_keeps_its_violations_and_excess() -> None:
    scored = score_point(point(output_tokens_per_s=9, ttft_p90_ms=110), SLO, THROUGHPUT)
    assert (scored.feasible, scored.slo_met, len(scored.violations)) == (True, False, 1)
    assert scored.excess == pytest.approx(math.log(1 + math.e))


# ── a rung ────────────────────────────────────────────────────────────────────────────────────


def test_of_points_whose_scores_are_all_next_to_0_the_best_is_still_told_apart() -> None:
    """Both penalties are at their cap, and so both scores are alike."""
    points = [point(c, output_tokens_per_s=50, ttft_p90_ms=ms) for c, ms in ((1, 9000), (2, 8000), (3, 9500))]
    score = score_rung(points, [], SLO, [THROUGHPUT])
    assert (score.level, score.slo_met) == (level(2), False)


def test_of_points_of_one_score_the_one_that_meets_the_slos_is_taken() -> None:
    points = [point(1, output_tokens_per_s=0, ttft_p90_ms=101), point(2, output_tokens_per_s=0, ttft_p90_ms=100)]
    smooth = Slo.model_validate(
        {"ttft": {"p90": {"threshold_ms": 100, "weight": 1e-9}}, "steepness": 1e6, "curve": "smooth"}
    )
    score = score_rung(points, [], smooth, [THROUGHPUT])
    assert (score.level, score.slo_met) == (level(2), True)


def test_a_mean_is_that_of_all_scores_and_values_with_every_violation() -> None:
    points = [point(1, e2e_mean_ms=100, ttft_p90_ms=50), point(2, e2e_mean_ms=300, ttft_p90_ms=110)]
    score = score_rung(points, [], SLO, [E2E])
    assert score.score == pytest.approx((100 + 300 * (1 + math.e)) / 2)
    assert (score.value, score.feasible, score.slo_met, len(score.violations)) == (200, True, False, 1)
    assert score.objectives == {"e2e_mean": score.score}


def test_a_mean_over_points_one_of_which_is_infeasible_is_infeasible() -> None:
    points = [point(1, e2e_mean_ms=100), point(2, errors=9, e2e_mean_ms=300)]
    score = score_rung(points, [], FREE, [E2E])
    assert (score.feasible, score.score, score.value) == (False, 1e30, None)
    assert score.reason == "concurrency 2: error_rate is 9.0%, more than 1.0%"
    assert score.merit() < score_rung(points[:1], [], FREE, [E2E]).merit()


def test_an_infeasible_rung_tells_of_each_level_why() -> None:
    points = [point(1, requests=0), point(2, errors=100)]
    score = score_rung(points, [level(4), "concurrency 8"], FREE, [THROUGHPUT])
    assert score.reason == (
        "concurrency 1: no request ended; output_tokens_per_s could not be had; "
        "concurrency 2: no request succeeded; output_tokens_per_s could not be had; "
        "concurrency 4: failed; concurrency 8: failed"
    )
    assert (score.feasible, score.slo_met, score.level, score.value, score.violations) == (False, False, None, None, ())


def test_without_any_level_nothing_was_measured() -> None:
    score = score_rung([], [], FREE, [THROUGHPUT])
    assert (score.reason, score.merit()) == ("nothing was measured", Merit())


def test_what_a_rung_is_worth_is_asked_by_the_objectives_name_the_first_by_default() -> None:
    score = score_rung([point(output_tokens_per_s=9, e2e_mean_ms=5)], [], FREE, [THROUGHPUT, E2E])
    assert score.merit() == score.merit("throughput") != score.merit("e2e_mean")
    assert score.merit("cost_per_mtok") == Merit()
    assert Score(0, False, False, None, None, {}).merit() == Merit()


# ── what is chosen ────────────────────────────────────────────────────────────────────────────


def test_of_equals_the_first_wins() -> None:
    rung = score_rung([point(output_tokens_per_s=9)], [], FREE, [THROUGHPUT])
    best = select_best({"a": rung, "b": rung}, THROUGHPUT)
    assert best is not None
    assert best.trial_id == "a"


def test_a_choice_is_one_load_point_or_all_levels_together() -> None:
    points = [point(1, output_tokens_per_s=9, e2e_mean_ms=100), point(2, output_tokens_per_s=7, e2e_mean_ms=300)]
    each = choices("a", score_rung(points, [], FREE, [THROUGHPUT, E2E]), THROUGHPUT)
    assert [(c.level, c.value) for c in each] == [(level(1), 9), (level(2), 7)]
    together = choices("a", score_rung(points, [], FREE, [E2E, THROUGHPUT]), E2E)
    assert [(c.level, c.value, c.score) for c in together] == [(None, 200, 200)]


def test_the_closest_of_what_is_infeasible_is_the_least_over_and_never_the_best() -> None:
    near, far = (
        score_rung([point(errors=50, output_tokens_per_s=9, ttft_p90_ms=ms)], [], SLO, [THROUGHPUT])
        for ms in (105, 140)
    )
    closest = select_closest({"far": far, "near": near}, THROUGHPUT)
    assert closest is not None
    assert (closest.trial_id, closest.feasible) == ("near", False)
    assert select_best({"far": far, "near": near}, THROUGHPUT) is None
    assert select_closest({}, THROUGHPUT) is None
