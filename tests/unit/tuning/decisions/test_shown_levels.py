"""What a searcher is told of each load level."""

from __future__ import annotations

import math
from typing import Any

import pytest

from autotuner.errors import Failure
from autotuner.metrics import LoadKind, LoadLevel, Measurement
from autotuner.results.records import Phase, TrialState
from autotuner.scoring import Objective, Score, Select, parse_objective, score_rung
from autotuner.space.config import Config
from autotuner.study.model import Slo
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.followed_trial import Followed
from autotuner.tuning.decisions.outcome import outcome
from autotuner.tuning.decisions.rules import Rules
from autotuner.tuning.decisions.shown_levels import shown_levels
from tests.scores import LEVEL, made_score

RATE, LATENCY = parse_objective("throughput"), parse_objective("tpot_mean")
SLO = Slo.model_validate({"ttft": {"p90": {"threshold_ms": 100}}, "tpot": {"mean": {"threshold_ms": 10}}})


def level(value: float) -> LoadLevel:
    return LoadLevel(LoadKind.CONCURRENCY, value)


def measured(load: float, rate: float, ttft: float = 50.0, tpot: float = 5.0, errors: int = 0) -> Measurement:
    metrics = {"output_tokens_per_s": rate, "ttft_p90_ms": ttft, "tpot_mean_ms": tpot}
    return Measurement(level(load), 10, errors, metrics)


def score(
    *measurements: Measurement, failed: Any = (), select: Select = "slo_met", objective: Objective = RATE
) -> Score:
    return score_rung(measurements, failed, SLO, [objective], select)


def test_each_level_shows_its_value_and_how_far_every_term_is_from_its_threshold() -> None:
    shown = shown_levels(score(measured(1, 100), measured(8, 400, ttft=200)), RATE, "slo_met")
    assert [one.level for one in shown] == [level(1), level(8)]
    assert shown[1].value is not None
    assert shown[0].value is not None
    assert shown[1].value - shown[0].value == pytest.approx(math.log(4))
    assert shown[0].margins == pytest.approx({"ttft_p90_ms": math.log(0.5), "tpot_mean_ms": math.log(0.5)})
    assert shown[1].margins == pytest.approx({"ttft_p90_ms": math.log(2), "tpot_mean_ms": math.log(0.5)})
    assert [one.meets for one in shown] == [True, False]
    assert all(one.works for one in shown)


def test_errors_are_broken_and_a_term_that_fails_hard_is_told_by_its_margin_alone() -> None:
    hard = Slo.model_validate({"ttft": {"p90": {"threshold_ms": 100, "hard_fail": True}}})
    points = [measured(1, 100, errors=5), measured(8, 100, ttft=900)]
    shown = shown_levels(score_rung(points, [], hard, [RATE]), RATE, "slo_met")
    assert [one.works for one in shown] == [False, True]
    assert not any(one.meets for one in shown)


def test_levels_that_failed_are_not_shown() -> None:
    shown = shown_levels(score(measured(1, 100), failed=[level(8)]), RATE, "slo_met")
    assert [one.level for one in shown] == [level(1)]


def test_an_objective_that_takes_the_mean_shows_all_levels_as_one_by_their_widest_margins() -> None:
    points = [measured(1, 100, ttft=50, tpot=4), measured(8, 100, ttft=25, tpot=8)]
    (shown,) = shown_levels(score(*points, objective=LATENCY), LATENCY, "slo_met")
    assert shown.level is None
    assert shown.margins == pytest.approx({"ttft_p90_ms": math.log(0.5), "tpot_mean_ms": math.log(0.8)})
    (slower,) = shown_levels(
        score(measured(1, 1, tpot=12), measured(8, 1, tpot=12), objective=LATENCY), LATENCY, "slo_met"
    )
    assert shown.value is not None
    assert slower.value is not None
    assert shown.value - slower.value == pytest.approx(math.log(2)), "less is better: 6 ms against 12 ms"
    (broken,) = shown_levels(score(points[0], failed=[level(8)], objective=LATENCY), LATENCY, "slo_met")
    assert not broken.works


def test_select_score_is_told_penalised_values_without_margins() -> None:
    over, kept = measured(8, 100, ttft=110), measured(8, 100)
    (shown,) = shown_levels(score(over, select="score"), RATE, "score")
    (other,) = shown_levels(score(kept, select="score"), RATE, "score")
    assert (shown.margins, shown.meets) == ({}, True)
    assert shown.value is not None
    assert other.value is not None
    assert other.value - shown.value == pytest.approx(math.log(1 + math.e)), "P = exp(0.1 / 0.1)"


def test_a_searcher_is_told_the_levels_of_every_rung_of_what_was_stopped_too() -> None:
    rungs = [score(measured(8, 100)), score(measured(8, 120), measured(1, 50))]
    told = outcome(TrialState.STOPPED, None, rungs, [RATE])
    assert {rung: len(shown) for rung, shown in told.shown.items()} == {0: 1, 1: 2}
    assert outcome(TrialState.COMPLETED, None, rungs, [RATE]).shown == told.shown
    assert not outcome(TrialState.FAILED, Failure.CRASH, rungs, [RATE]).shown


@pytest.mark.parametrize("in_full", [True, False])
def test_it_is_told_whether_levels_were_measured_in_full_but_a_mean_of_some_is_none_of_all(in_full: bool) -> None:
    of_level = made_score(5.0, "throughput")
    of_mean = made_score(5.0, "ttft_p90")
    level, mean = parse_objective("throughput"), parse_objective("ttft_p90")
    assert [s.in_full for s in shown_levels(of_level, level, "slo_met", in_full=in_full)] == [in_full]
    assert [s.in_full for s in shown_levels(of_mean, mean, "slo_met", in_full=in_full)] == [False]
    followed = Followed(Assignment("0001", Phase.SEARCH, Config(), 3, probe=LEVEL if in_full else None), [of_level])
    followed.state = TrialState.STOPPED
    rules = Rules(9, 3, 1, (level,), Config(), None, "slo_met")
    assert [s.in_full for s in followed.outcome(rules).shown[0]] == [in_full]
