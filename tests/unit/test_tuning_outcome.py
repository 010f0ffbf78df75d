"""What the searcher is told of an ended trial."""

from __future__ import annotations

import math

import pytest

from autotuner.errors import Failure
from autotuner.results.records import TrialState
from autotuner.scoring import Direction, Score, infeasible_score, parse_objective
from autotuner.tuning.outcome import outcome
from autotuner.tuning.proposers import OutcomeKind

LOW, HIGH = parse_objective("ttft_p90"), parse_objective("throughput")
BLAMED = [failure for failure in Failure if failure.blames_config]
INNOCENT = [Failure.CLIENT_SATURATED, Failure.INFRASTRUCTURE]


def both(latency: float, throughput: float, *, feasible: bool = True) -> Score:
    return Score(latency, feasible, feasible, None, latency, {"ttft_p90": latency, "throughput": throughput})


def test_completed_tells_the_last_rung_of_every_objective() -> None:
    told = outcome(TrialState.COMPLETED, None, [both(9.0, 1.0), both(math.e - 1, math.e**2 - 1)], [LOW, HIGH])
    assert told.kind is OutcomeKind.COMPLETED
    assert told.values == pytest.approx((1.0, 2.0))
    assert told.by_rung == {0: pytest.approx(math.log(10)), 1: pytest.approx(1.0)}


def test_completed_and_infeasible() -> None:
    told = outcome(TrialState.COMPLETED, None, [both(1e30, -1.0, feasible=False)], [LOW, HIGH])
    assert told.kind is OutcomeKind.INFEASIBLE
    assert told.values == pytest.approx((69.0776, -0.6931), rel=1e-4)


def test_stopped_is_pruned_and_has_no_final_value() -> None:
    told = outcome(TrialState.STOPPED, None, [both(0.0, 5.0)], [LOW, HIGH])
    assert (told.kind, told.values, dict(told.by_rung)) == (OutcomeKind.PRUNED, (), {0: 0.0})


def test_stopped_before_its_first_rung() -> None:
    told = outcome(TrialState.STOPPED, None, [], [LOW])
    assert (told.kind, told.values, dict(told.by_rung)) == (OutcomeKind.PRUNED, (), {})


@pytest.mark.parametrize("failure", BLAMED)
def test_a_config_at_fault_is_worse_than_any_feasible_one_in_both_directions(failure: Failure) -> None:
    told = outcome(TrialState.FAILED, failure, [both(0.001, 1e28)], [LOW, HIGH])
    slowest = outcome(TrialState.COMPLETED, None, [both(1e29, 0.0)], [LOW, HIGH])
    assert told.kind is OutcomeKind.INFEASIBLE
    assert all(map(math.isfinite, told.values))
    assert told.values[0] > slowest.values[0]
    assert told.values[1] < slowest.values[1]


@pytest.mark.parametrize("failure", INNOCENT)
@pytest.mark.parametrize("state", [TrialState.FAILED, TrialState.STOPPED])
def test_what_says_nothing_of_a_config_is_not_told(failure: Failure, state: TrialState) -> None:
    told = outcome(state, failure, [both(1.0, 1.0)], [LOW])
    assert (told.kind, told.values) == (OutcomeKind.UNKNOWN, ())


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_told_values_are_finite_whatever_a_score_is(value: float) -> None:
    told = outcome(TrialState.COMPLETED, None, [both(value, value)], [LOW, HIGH])
    assert all(map(math.isfinite, [*told.values, *told.by_rung.values()]))
    assert told.values == pytest.approx((math.log1p(infeasible_score(Direction.MIN)), -math.log(2)))
