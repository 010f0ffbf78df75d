"""The conductor at a study's end: finalists, rounds, and the same way on after any death."""

from __future__ import annotations

import dataclasses

import pytest

from autotuner.errors import Failure
from autotuner.results.records import Phase, TrialState
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.followed_trial import KnownTrial
from autotuner.tuning.decisions.pause import Pause
from autotuner.tuning.decisions.rules import Rules
from tests.tuning_parts import CountingProposer, report, rules, score

# Latencies: the search's, then a value a round. Runs of one Config differ by about 3 %.
VALUES = {
    "0000": [100.0, 103.0, 101.0, 99.0],
    "0001": [90.0, 95.0, 94.0, 93.0],
    "0002": [91.0, 91.0, 90.0, 92.0],
    "0003": [150.0],
}
WHOLE = [
    *("0000", "0001", "0002", "0003"),
    *("0001-c1", "0000-c1", "0002-c1"),
    *("0000-c2", "0002-c2", "0001-c2"),
]


def finals_rules(confirm: int = 3, finalists: int | None = 3) -> Rules:
    return dataclasses.replace(rules(trials=4, rungs=1, confirm=confirm, max_running=1), finalists=finalists)


def value_of(trial_id: str) -> float:
    name, _, number = trial_id.partition("-c")
    return VALUES[name][int(number or 0)]


def known(trial_id: str) -> KnownTrial:
    name, is_confirmation, _ = trial_id.partition("-c")
    phase = Phase.CONFIRM if is_confirmation else Phase.SEARCH if int(name) else Phase.BASELINE
    config = Config({"n": int(name) - 1}) if int(name) else rules().baseline
    return KnownTrial(trial_id, phase, config, TrialState.COMPLETED, None, (score(value_of(trial_id)),), 10.0)


def goes_on(known_trials: list[KnownTrial], given: Rules, failing: dict[str, Failure] | None = None) -> list[str]:
    """What is started after these, each with its value of ``VALUES``."""
    study = Conductor(given, CountingProposer(), Budget(), known_trials)
    order = []
    while isinstance(decision := study.next(Spent()), Assignment):
        order.append(decision.trial_id)
        if failure := (failing or {}).get(decision.trial_id):
            study.trial_ended(decision.trial_id, TrialState.FAILED, failure)
            continue
        study.rung_ended(report(decision.trial_id, 0, value_of(decision.trial_id), last=True))
        study.trial_ended(decision.trial_id, TrialState.COMPLETED, None)
    assert decision is Pause.FINISHED
    return order


def test_finalists_and_default_are_measured_in_rounds_each_first_in_turn() -> None:
    assert goes_on([], finals_rules()) == WHOLE


@pytest.mark.parametrize("dead_after", range(len(WHOLE)))
def test_after_any_death_the_same_is_still_to_do(dead_after: int) -> None:
    done = [known(trial_id) for trial_id in WHOLE[:dead_after]]
    assert goes_on(done, finals_rules()) == WHOLE[dead_after:]


def test_no_more_finalists_than_were_asked_for() -> None:
    found = goes_on([], finals_rules(finalists=1))
    assert found[4:6] == ["0001-c1", "0000-c1"]
    assert not any(name.startswith("0002-c") for name in found)


def test_under_the_earlier_rule_the_best_alone_is_measured_in_every_round() -> None:
    found = goes_on([], finals_rules(finalists=None))
    assert found[4:] == ["0001-c1", "0000-c1", "0000-c2", "0001-c2", "0001-c3", "0000-c3"]


def test_a_finalist_that_fails_by_its_own_fault_is_measured_no_more() -> None:
    found = goes_on([], finals_rules(), {"0002-c1": Failure.CRASH})
    assert [name for name in found if name.startswith("0002-c")] == ["0002-c1"]
    assert "0001-c2" in found


def test_a_default_that_failed_by_its_own_fault_confirms_nothing() -> None:
    assert goes_on([], finals_rules(), {"0000": Failure.CRASH})[-1] == "0003"


def test_without_rounds_nothing_is_measured_afresh() -> None:
    assert goes_on([], finals_rules(confirm=0)) == WHOLE[:4]
