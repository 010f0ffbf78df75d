"""What the searcher is told of an ended trial."""

from __future__ import annotations

import math
from typing import Any

import pytest

from autotuner.errors import Failure
from autotuner.results.records import Phase, TrialState, Usage
from autotuner.scoring import Score, parse_objective
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment, RungReport
from autotuner.tuning.decisions.followed_trial import Followed, KnownTrial
from autotuner.tuning.decisions.outcome import outcome
from autotuner.tuning.decisions.rules import Rules
from autotuner.tuning.proposers import Outcome, OutcomeKind
from tests.scores import joined, made_score

LOW, HIGH = parse_objective("ttft_p90"), parse_objective("throughput")
BLAMED = [failure for failure in Failure if failure.blames_config]
INNOCENT = [Failure.CLIENT_SATURATED, Failure.INFRASTRUCTURE]


def both(latency: float, throughput: float, **more: Any) -> Score:
    return joined(made_score(latency, "ttft_p90", **more), made_score(throughput, "throughput", **more))


def completed(score: Score) -> Outcome:
    return outcome(TrialState.COMPLETED, None, [score], [LOW, HIGH])


def is_better(a: Outcome, b: Outcome) -> tuple[bool, bool]:
    """In each objective's own direction: less of the first, more of the second."""
    return a.values[0] < b.values[0], a.values[1] > b.values[1]


def test_completed_tells_the_last_rung_of_every_objective() -> None:
    scores = [both(9.0, 1.0, feasible=False), both(5.0, 2.0)]
    told = outcome(TrialState.COMPLETED, None, scores, [LOW, HIGH])
    assert (told.kind, told.values) == (OutcomeKind.COMPLETED, completed(scores[1]).values)
    assert told.by_rung == {0: completed(scores[0]).values[0], 1: told.values[0]}
    assert told.by_rung[0] > told.by_rung[1]


def test_an_infeasible_rung_is_told_as_that_with_how_far_it_is_from_feasible() -> None:
    near = completed(both(1.0, 1.0, feasible=False, excess=2.0))
    far = completed(both(1.0, 1.0, feasible=False, excess=200.0))
    assert near.kind is far.kind is OutcomeKind.INFEASIBLE
    assert 0 < near.infeasibility < far.infeasibility
    assert is_better(near, far) == (True, True)
    assert completed(both(1.0, 1.0)).infeasibility == 0


def test_the_nearer_to_the_slos_the_better_is_told_whatever_the_value() -> None:
    """However far it is over them: the penalised score is 0 for both, or at its cap."""
    near = completed(both(900.0, 1.0, slo_met=False, excess=1000.0))
    far = completed(both(10.0, 500.0, slo_met=False, excess=1001.0))
    assert near.kind is far.kind is OutcomeKind.COMPLETED
    assert is_better(near, far) == (True, True)
    assert is_better(completed(both(1e6, 1e-3)), near) == (True, True)


def test_stopped_is_pruned_and_has_no_final_value() -> None:
    told = outcome(TrialState.STOPPED, None, [both(3.0, 5.0)], [LOW, HIGH])
    assert (told.kind, told.values, list(told.by_rung)) == (OutcomeKind.PRUNED, (), [0])


def test_of_several_objectives_every_rung_tells_each_of_them() -> None:
    scores = [both(7.0, 1.0), both(5.0, 2.0)]
    each = {rung: completed(score).values for rung, score in enumerate(scores)}
    for state in (TrialState.STOPPED, TrialState.COMPLETED):
        assert outcome(state, None, scores, [LOW, HIGH]).all_by_rung == each
        assert outcome(state, None, scores, [LOW]).all_by_rung == {}


def test_stopped_before_its_first_rung() -> None:
    told = outcome(TrialState.STOPPED, None, [], [LOW])
    assert (told.kind, told.values, dict(told.by_rung)) == (OutcomeKind.PRUNED, (), {})


@pytest.mark.parametrize("failure", BLAMED)
def test_a_config_at_fault_is_worse_than_any_that_was_measured_in_both_directions(failure: Failure) -> None:
    scores = [both(0.001, 1e28), both(0.001, 1e28)]
    told = outcome(TrialState.FAILED, failure, scores, [LOW, HIGH])
    assert told.kind is OutcomeKind.INFEASIBLE
    assert all(map(math.isfinite, told.values))
    assert list(told.by_rung) == [0, 1], "what it scored before"
    assert is_better(completed(both(1e29, 0.0)), told) == (True, True)
    assert is_better(completed(both(1.0, 1.0, feasible=False, excess=1e300)), told) == (True, True)


@pytest.mark.parametrize("failure", INNOCENT)
@pytest.mark.parametrize("state", [TrialState.FAILED, TrialState.STOPPED])
def test_what_says_nothing_of_a_config_is_not_told(failure: Failure, state: TrialState) -> None:
    told = outcome(state, failure, [both(1.0, 1.0)], [LOW])
    assert (told.kind, told.values) == (OutcomeKind.UNKNOWN, ())


@pytest.mark.parametrize("value", [0.0, 1e-300, 1e300])
def test_told_values_are_finite_whatever_a_value_is(value: float) -> None:
    told = completed(both(value, value))
    assert all(map(math.isfinite, [*told.values, *told.by_rung.values()]))


def test_a_trial_that_completed_is_judged_by_its_last_rung_alone() -> None:
    told = outcome(TrialState.COMPLETED, None, [both(9.0, 1.0), both(5.0, 2.0, feasible=False)], [LOW, HIGH])
    assert told.kind is OutcomeKind.INFEASIBLE


def test_a_config_at_fault_is_told_with_what_its_rungs_had_scored() -> None:
    scores = [both(7.0, 1.0), both(5.0, 2.0)]
    told = outcome(TrialState.FAILED, BLAMED[0], scores, [LOW, HIGH])
    assert told.by_rung == {rung: completed(score).values[0] for rung, score in enumerate(scores)}


@pytest.mark.parametrize("lists_levels", [True, False])
def test_levels_that_each_trial_searches_for_itself_tell_the_searcher_nothing(lists_levels: bool) -> None:
    default = Config({})
    rules = Rules(9, 1, 0, (HIGH,), default, None, "slo_met", lists_levels=lists_levels)
    trial = Followed(Assignment("0001", Phase.SEARCH, default, 1), [made_score(2.0, "throughput")])
    trial.state = TrialState.COMPLETED
    told = trial.outcome(rules)
    assert told.kind is OutcomeKind.COMPLETED
    assert bool(told.shown) is lists_levels


PLAIN = Rules(9, 1, 0, (HIGH,), Config({}), None, "slo_met")


@pytest.mark.parametrize(("gpus", "told_gpu_s", "told_start_gpu_s"), [(4, 40.0, 12.0), (0, 10.0, 3.0)])
def test_what_a_trial_cost_is_told_in_this_life_and_the_next(
    gpus: int, told_gpu_s: float, told_start_gpu_s: float
) -> None:
    """In GPU-seconds; a server without GPUs counts as one."""
    score = made_score(2.0, "throughput")
    assignment = Assignment("0001", Phase.SEARCH, Config({}), 1)
    trial = Followed(assignment, [score], TrialState.COMPLETED)
    trial.note(RungReport("0001", 0, last=True, score=score, usage=Usage(10.0, 3.0, 6.0), gpus=gpus))
    known = KnownTrial(
        "0001", Phase.SEARCH, Config({}), TrialState.COMPLETED, None, (score,), 10.0, gpus, starting_s=3.0
    )
    for followed in (trial, known.followed(assignment)):
        told = followed.outcome(PLAIN)
        assert [told.gpu_s, told.start_gpu_s] == pytest.approx([told_gpu_s, told_start_gpu_s])
    trial.state = TrialState.STOPPED
    stopped = trial.outcome(PLAIN)
    assert [stopped.gpu_s, stopped.start_gpu_s] == pytest.approx([0.0, told_start_gpu_s]), "not what it would have cost"


def test_a_trial_that_held_no_place_cost_nothing() -> None:
    trial = Followed(Assignment("0001", Phase.SEARCH, Config({}), 1), [], TrialState.STOPPED)
    assert trial.outcome(PLAIN).start_gpu_s == 0
