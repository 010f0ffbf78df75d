"""Which rounds confirm the best, against which default, and what they are expected to take."""

from __future__ import annotations

import pytest

from autotuner.errors import Failure
from autotuner.results.records import Phase, TrialState
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.budget import Spent
from autotuner.tuning.decisions.confirmation import confirmation_cost, confirmations, plan_confirmations
from autotuner.tuning.decisions.followed_trial import Followed

COMPLETED, FAILED = TrialState.COMPLETED, TrialState.FAILED


def trial(
    trial_id: str,
    *,
    state: TrialState = COMPLETED,
    failure: Failure | None = None,
    seconds: float = 10.0,
    gpu_seconds: float = 20.0,
) -> Followed:
    phase = Phase.CONFIRM if "-c" in trial_id else Phase.SEARCH if trial_id > "0001" else Phase.BASELINE
    assignment = Assignment(trial_id, phase, Config({"of": trial_id}), 3)
    return Followed(assignment, [], state, seconds, gpu_seconds, failure)


def failed(trial_id: str, failure: Failure) -> Followed:
    return trial(trial_id, state=FAILED, failure=failure)


def planned(*trials: Followed, best: str | None = "0002", rounds: int = 1) -> list[str]:
    return [assignment.trial_id for assignment in plan_confirmations(trials, best, rounds)]


def test_who_goes_first_alternates_and_each_is_one_rung_of_the_same_config() -> None:
    best, default = trial("0002").assignment, trial("0000").assignment
    found = confirmations(best, default, 3)
    assert [a.trial_id for a in found] == ["0002-c1", "0000-c1", "0000-c2", "0002-c2", "0002-c3", "0000-c3"]
    assert found[0] == Assignment("0002-c1", Phase.CONFIRM, best.config, rungs=1)
    assert confirmations(best, default, 0) == []


def test_nothing_is_confirmed_without_a_best_or_where_it_is_the_default() -> None:
    both = trial("0000"), trial("0002")
    assert planned(*both) == ["0002-c1", "0000-c1"]
    assert planned(*both, best=None) == []
    assert planned(*both, best="0000") == []
    assert planned(both[1]) == [], "without a default"


def test_it_is_against_the_first_default_that_came_to_its_end_in_whatever_order_they_are_known() -> None:
    first, second, best = trial("0000"), trial("0001"), trial("0002")
    assert planned(second, first, best) == ["0002-c1", "0000-c1"]
    lost = failed("0000", Failure.INFRASTRUCTURE)
    assert planned(second, lost, best) == ["0002-c1", "0001-c1"]
    assert planned(lost, best) == ["0002-c1", "0000-c1"], "measured for the first time then"


def test_a_default_that_its_own_fault_kept_from_its_end_is_not_measured_again() -> None:
    assert planned(failed("0000", Failure.CRASH), trial("0002")) == []


@pytest.mark.parametrize(
    ("ended", "rounds"),
    [
        ([], 2),
        ([trial("0002-c1")], 2),
        ([failed("0002-c1", Failure.CLIENT_SATURATED)], 3),
        ([failed("0002-c1", Failure.CLIENT_SATURATED), failed("0000-c1", Failure.INFRASTRUCTURE)], 3),
        ([failed("0002-c1", Failure.CLIENT_SATURATED), failed("0000-c2", Failure.INFRASTRUCTURE)], 4),
        ([failed(f"0002-c{n}", Failure.CLIENT_SATURATED) for n in (1, 2, 3)], 4),
        ([failed("0002-c1", Failure.CRASH)], 2),
    ],
)
def test_a_round_that_says_nothing_of_a_config_is_run_again_at_most_as_many_as_were_asked_for(
    ended: list[Followed], rounds: int
) -> None:
    found = planned(trial("0000"), trial("0002"), *ended, rounds=2)
    assert len(found) == 2 * rounds
    assert found[-1].endswith(f"-c{rounds}")


def test_rounds_cost_twice_the_longest_trial_that_completed_each() -> None:
    trials = [
        trial("0000", seconds=10, gpu_seconds=80),
        trial("0002", seconds=30, gpu_seconds=40),
        trial("0003", seconds=99, gpu_seconds=99, state=FAILED),
        trial("0004", seconds=99, gpu_seconds=99, state=TrialState.STOPPED),
    ]
    assert confirmation_cost(trials, 3) == Spent(wall_s=2 * 3 * 30, gpu_s=2 * 3 * 80)
    assert confirmation_cost(trials[2:], 3) == Spent(0, 0)
    assert confirmation_cost(trials, 0) == Spent(0, 0)
