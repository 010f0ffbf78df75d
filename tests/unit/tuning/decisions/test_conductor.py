"""Which trial comes next, and when a study is over."""

from __future__ import annotations

import dataclasses
from typing import Any

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
from autotuner.tuning.proposers import OutcomeKind
from tests.tuning_parts import CountingProposer, infeasible, report, rules, score

NOTHING = Spent()
C, S, F, R = TrialState.COMPLETED, TrialState.STOPPED, TrialState.FAILED, TrialState.RUNNING


def conductor(
    given: Rules | None = None,
    proposer: CountingProposer | None = None,
    budget: Budget | None = None,
    known: tuple[KnownTrial, ...] = (),
) -> Conductor:
    return Conductor(given or rules(), proposer or CountingProposer(), budget or Budget(), known)


def start(conductor: Conductor, spent: Spent = NOTHING) -> Assignment:
    assignment = conductor.next(spent)
    assert isinstance(assignment, Assignment), assignment
    return assignment


def complete(conductor: Conductor, assignment: Assignment, value: float, *, seconds: float = 10, gpus: int = 0) -> None:
    last = assignment.rungs - 1
    for rung in range(assignment.rungs):
        ended = report(assignment.trial_id, rung, value, last=rung == last, reserved_s=seconds * (rung + 1), gpus=gpus)
        conductor.rung_ended(ended)
    conductor.trial_ended(assignment.trial_id, C, None)


def run_all(conductor: Conductor, values: dict[str, float], otherwise: float = 5.0) -> list[str]:
    """Completes each trial as soon as it starts; returns the ids in order."""
    order: list[str] = []
    for _ in range(100):
        decision = conductor.next(NOTHING)
        if decision is Pause.FINISHED:
            return order
        assert isinstance(decision, Assignment), "a study with nothing running must not wait"
        order.append(decision.trial_id)
        complete(conductor, decision, values.get(decision.trial_id, otherwise))
    raise AssertionError(f"no end: {order}")


def known(number: int, state: TrialState = C, *values: float, **more: object) -> KnownTrial:
    phase = Phase.SEARCH if number else Phase.BASELINE
    config = Config({"n": number - 1}) if number else rules().baseline
    scores = tuple(score(value) for value in values)
    made = KnownTrial(f"{number:04d}", phase, config, state, None, scores, 20.0)
    return dataclasses.replace(made, **more)  # type: ignore[arg-type]


# ── order ─────────────────────────────────────────────────────────────────────────────────────


def test_baseline_then_search_then_confirmation_in_turn() -> None:
    proposer = CountingProposer()
    study = conductor(rules(trials=3, confirm=3), proposer)
    order = run_all(study, {"0002": 1.0})
    confirmations = ["0002-c1", "0000-c1", "0000-c2", "0002-c2", "0002-c3", "0000-c3"]
    assert order == ["0000", "0001", "0002", *confirmations]
    assert study.stop_reason == "all trials done"
    assert [trial_id for trial_id, _ in proposer.proposed] == ["0001", "0002"]


def test_what_is_handed_out() -> None:
    study = conductor(rules(trials=2, rungs=3, confirm=1))
    baseline = start(study)
    assert baseline == Assignment("0000", Phase.BASELINE, rules().baseline, 3)
    searched = start(study)
    assert searched == Assignment("0001", Phase.SEARCH, Config({"n": 0}), 3)
    complete(study, baseline, 2.0)
    complete(study, searched, 1.0)
    first, second = start_and_complete(study), start_and_complete(study)
    assert first == Assignment("0001-c1", Phase.CONFIRM, searched.config, rungs=1)
    assert second == Assignment("0000-c1", Phase.CONFIRM, baseline.config, rungs=1)


def start_and_complete(study: Conductor) -> Assignment:
    assignment = start(study)
    complete(study, assignment, 1.0)
    return assignment


def test_no_more_at_a_time_than_allowed_and_confirmations_alone() -> None:
    study = conductor(rules(trials=3, max_running=2))
    first, second = start(study), start(study)
    assert study.next(NOTHING) is Pause.WAIT
    complete(study, first, 5.0)
    third = start(study)
    assert study.next(NOTHING) is Pause.WAIT
    complete(study, second, 1.0)
    assert study.next(NOTHING) is Pause.WAIT, "confirmation begins when every searched trial has ended"
    complete(study, third, 3.0)
    assert start(study).trial_id == "0001-c1"
    assert study.next(NOTHING) is Pause.WAIT


def test_default_that_is_best_needs_no_confirmation() -> None:
    study = conductor(rules(trials=3))
    assert run_all(study, {"0000": 1.0}) == ["0000", "0001", "0002"]
    assert study.best() == "0000"


def test_without_confirmation_rounds() -> None:
    assert run_all(conductor(rules(trials=2, confirm=0)), {"0001": 1.0}) == ["0000", "0001"]


def test_a_confirmation_round_that_the_client_spoiled_is_run_again_within_bounds() -> None:
    study = conductor(rules(trials=2, confirm=2))
    order: list[str] = []
    while (decision := study.next(NOTHING)) is not Pause.FINISHED:
        assert isinstance(decision, Assignment)
        order.append(decision.trial_id)
        if decision.trial_id in ("0001-c1", "0000-c2", "0001-c3"):
            study.trial_ended(decision.trial_id, F, Failure.CLIENT_SATURATED)
        else:
            complete(study, decision, 1.0 if decision.trial_id.startswith("0001") else 5.0)
    assert sorted(order[2:]) == sorted(f"{trial}-c{number}" for trial in ("0000", "0001") for number in (1, 2, 3, 4))


def test_a_confirmation_that_failed_by_its_own_fault_is_not_run_again() -> None:
    study = conductor(rules(trials=2, confirm=1))
    complete(study, start(study), 5.0)
    complete(study, start(study), 1.0)
    study.trial_ended(start(study).trial_id, F, Failure.CRASH)
    complete(study, start(study), 5.0)
    assert study.next(NOTHING) is Pause.FINISHED


def saturate(conductor: Conductor, trial_id: str) -> None:
    conductor.trial_ended(trial_id, F, Failure.CLIENT_SATURATED)


def test_a_default_that_the_client_was_too_slow_for_is_measured_once_more_at_the_end() -> None:
    study = conductor(rules(trials=2, confirm=2))
    saturate(study, start(study).trial_id)
    complete(study, start(study), 1.0)
    assert run_all(study, {}) == ["0001-c1", "0000-c1", "0000-c2", "0001-c2"]


def two_types(**more: Any) -> Rules:
    return dataclasses.replace(rules(**more), more_baselines=(Config({"default": True, "accelerator": "L40S"}),))


def test_the_best_is_confirmed_against_the_first_default_that_came_to_its_end() -> None:
    study = conductor(two_types(trials=3, confirm=1))
    first, second = start(study), start(study)
    saturate(study, first.trial_id)
    complete(study, second, 5.0)
    searched = start(study)
    complete(study, searched, 1.0)
    assert run_all(study, {}) == ["0002-c1", "0001-c1"]


def test_a_default_that_failed_by_its_own_fault_does_not_stand_for_one_that_completed() -> None:
    study = conductor(two_types(trials=3, confirm=1))
    study.trial_ended(start(study).trial_id, F, Failure.OUT_OF_MEMORY_AT_START)
    complete(study, start(study), 5.0)
    complete(study, start(study), 1.0)
    assert run_all(study, {}) == ["0002-c1", "0001-c1"]


def test_a_default_of_another_type_that_is_the_best_is_confirmed_against_the_first() -> None:
    study = conductor(two_types(trials=2, confirm=1))
    complete(study, start(study), 5.0)
    complete(study, start(study), 1.0)
    assert run_all(study, {}) == ["0001-c1", "0000-c1"]


def test_trials_that_the_client_was_too_slow_for_are_replaced() -> None:
    study = conductor(rules(trials=3, confirm=0, max_running=1))
    complete(study, start(study), 5.0)
    saturate(study, start(study).trial_id)
    assert run_all(study, {}) == ["0002", "0003"]
    assert study.stop_reason == "all trials done"


def test_a_client_that_is_always_too_slow_ends_the_search_and_is_told() -> None:
    study = conductor(rules(trials=40, confirm=0, max_running=1))
    complete(study, start(study), 5.0)
    for _ in range(5):
        saturate(study, start(study).trial_id)
    assert study.next(NOTHING) is Pause.FINISHED
    assert "too slow in 5 trials in a row" in study.stop_reason
    assert "hardware.client_cpus" in study.stop_reason


def test_earlier_lives_saturated_trials_are_remembered() -> None:
    saturated = [known(n, F, failure=Failure.CLIENT_SATURATED) for n in range(1, 6)]
    study = conductor(rules(trials=40, confirm=0), known=(known(0, C, 3.0, 5.0), *saturated))
    assert study.next(NOTHING) is Pause.FINISHED
    assert "too slow in 5 trials" in study.stop_reason


def test_failed_baseline_leaves_nothing_to_compare_with() -> None:
    study = conductor(rules(trials=2))
    baseline = start(study)
    study.rung_ended(report("0000", 0, infeasible(), failure=Failure.CRASH))
    study.trial_ended(baseline.trial_id, F, Failure.CRASH)
    assert run_all(study, {}) == ["0001"]
    assert study.best() == "0001"


def test_nothing_feasible_no_best() -> None:
    study = conductor(rules(trials=2))
    for _ in range(2):
        trial_id = start(study).trial_id
        study.rung_ended(report(trial_id, 0, infeasible()))
        study.rung_ended(report(trial_id, 1, infeasible(), last=True))
        study.trial_ended(trial_id, C, None)
    assert study.next(NOTHING) is Pause.FINISHED
    assert study.best() is None


def test_a_stopped_trial_is_never_the_best() -> None:
    study = conductor(rules(trials=2))
    baseline, searched = start(study), start(study)
    study.rung_ended(report(searched.trial_id, 0, 0.001))
    study.trial_ended(searched.trial_id, S, None)
    complete(study, baseline, 5.0)
    assert study.best() == "0000"


def test_exhausted_space_ends_the_search_early() -> None:
    study = conductor(rules(trials=10, confirm=1), CountingProposer(size=2))
    assert run_all(study, {"0002": 1.0}) == ["0000", "0001", "0002", "0002-c1", "0000-c1"]
    assert study.stop_reason == "the space has no further Config"


def test_a_budget_that_cuts_the_search_is_told_though_the_space_is_exhausted_too() -> None:
    study = conductor(rules(trials=10, confirm=0, max_running=1), CountingProposer(size=3), Budget(wall_s=100))
    complete(study, start(study), 5.0)
    complete(study, start(study), 5.0)
    assert study.next(Spent(wall_s=100)) is Pause.FINISHED
    assert study.stop_reason == "budget: wall_clock_h"


def test_a_budget_that_is_spent_when_all_is_done_has_cut_nothing() -> None:
    study = conductor(rules(trials=2, confirm=1, max_running=1), budget=Budget(wall_s=100))
    complete(study, start(study), 5.0)
    complete(study, start(study), 1.0)
    for _ in range(2):
        complete(study, start(study, Spent(wall_s=60)), 1.0)
    assert study.next(Spent(wall_s=100)) is Pause.FINISHED
    assert study.stop_reason == "all trials done"


def test_a_budget_that_leaves_no_room_for_confirmation_is_told() -> None:
    study = conductor(rules(trials=2, confirm=1, max_running=1), budget=Budget(gpu_s=100))
    complete(study, start(study), 5.0)
    complete(study, start(study), 1.0)
    assert study.next(Spent(gpu_s=100)) is Pause.FINISHED
    assert study.stop_reason == "budget: gpu_hours"


def test_a_budget_that_stops_a_trial_before_its_last_rung_is_told() -> None:
    study = conductor(rules(trials=2, confirm=0, max_running=2), budget=Budget(wall_s=100))
    baseline, searched = start(study), start(study)
    study.rung_ended(report(searched.trial_id, 0, 3.0))
    assert study.must_stop(searched.trial_id, Spent(wall_s=100))
    study.trial_ended(searched.trial_id, S, None)
    complete(study, baseline, 5.0)
    assert study.next(Spent(wall_s=100)) is Pause.FINISHED
    assert study.stop_reason == "budget: wall_clock_h"


def test_a_budget_that_cuts_the_last_rung_is_told() -> None:
    study = conductor(rules(trials=1, confirm=0), budget=Budget(wall_s=100))
    start(study)
    study.rung_ended(report("0000", 0, None, out_of_time=True))
    study.trial_ended("0000", S, None)
    assert study.next(Spent(wall_s=100)) is Pause.FINISHED
    assert study.stop_reason == "budget: wall_clock_h"


def test_an_exhausted_space_waits_for_what_runs() -> None:
    study = conductor(rules(trials=10, max_running=5), CountingProposer(size=1))
    start(study), start(study)
    assert study.next(NOTHING) is Pause.WAIT


# ── events ────────────────────────────────────────────────────────────────────────────────────


def test_rungs_and_ends_told_twice_count_once() -> None:
    proposer = CountingProposer()
    study = conductor(proposer=proposer)
    start(study)
    searched = start(study)
    for value in (3.0, 9.0):
        study.rung_ended(report(searched.trial_id, 0, value))
    study.trial_ended(searched.trial_id, S, None)
    study.trial_ended(searched.trial_id, F, Failure.CRASH)
    assert study.score_of(searched.trial_id) == score(3.0)
    assert [(trial_id, outcome.kind) for trial_id, outcome in proposer.told] == [("0001", OutcomeKind.PRUNED)]


def test_the_searcher_is_told_of_the_baseline_and_not_of_confirmations() -> None:
    proposer = CountingProposer()
    run_all(conductor(rules(trials=3), proposer), {"0002": 1.0})
    assert proposer.replayed == [("0000", Config({"default": True}), None)], "before anything is proposed"
    assert [trial_id for trial_id, _ in proposer.told] == ["0000", "0001", "0002"]
    assert [outcome.kind for _, outcome in proposer.told] == [OutcomeKind.COMPLETED] * 3


def test_a_lost_node_is_told_as_unknown() -> None:
    proposer = CountingProposer()
    study = conductor(proposer=proposer)
    start(study)
    searched = start(study)
    study.rung_ended(report(searched.trial_id, 0, 3.0))
    study.trial_ended(searched.trial_id, F, Failure.INFRASTRUCTURE)
    assert [outcome.kind for _, outcome in proposer.told] == [OutcomeKind.UNKNOWN]


# ── budgets ───────────────────────────────────────────────────────────────────────────────────


def test_wall_clock_keeps_room_for_confirmation() -> None:
    """2 rounds × 2 trials × 20 s, the longest so far: nothing new is searched after 20 of 100 s."""
    study = conductor(rules(trials=100, max_running=1), budget=Budget(wall_s=100))
    complete(study, start(study), 5.0)
    searched = start(study, Spent(wall_s=19))
    assert not study.must_stop(searched.trial_id, Spent(wall_s=19))
    complete(study, searched, 1.0)
    assert start(study, Spent(wall_s=20)).trial_id == "0001-c1"
    assert study.stop_reason == "budget: wall_clock_h"


def test_a_searched_trial_gives_way_to_confirmation_and_the_baseline_does_not() -> None:
    study = conductor(rules(trials=3), budget=Budget(wall_s=100))
    baseline = start(study)
    first = start(study)
    complete(study, first, 1.0)
    second = start(study)
    late = Spent(wall_s=50)
    assert study.must_stop(second.trial_id, late)
    assert not study.must_stop(baseline.trial_id, late)
    assert study.must_stop(baseline.trial_id, Spent(wall_s=100))


def test_gpu_hours_keep_room_for_confirmation() -> None:
    study = conductor(rules(trials=100, max_running=1), budget=Budget(gpu_s=400))
    complete(study, start(study), 5.0, gpus=4)  # 20 s × 4 GPUs; four of these are kept
    assert study.next(Spent(gpu_s=79)) != Pause.FINISHED
    complete(study, study.running()[0], 1.0, gpus=4)
    assert start(study, Spent(gpu_s=80)).phase is Phase.CONFIRM
    assert study.stop_reason == "budget: gpu_hours"


def test_gpu_hours_keep_room_for_confirmation_after_a_resume() -> None:
    past = (known(0, C, 5.0, 5.0, gpus=4), known(1, C, 1.0, 1.0, gpus=4))
    study = conductor(rules(trials=100), budget=Budget(gpu_s=400), known=past)
    assert start(study, Spent(gpu_s=160)).phase is Phase.CONFIRM


def test_a_spent_budget_ends_it_once_what_runs_has_ended() -> None:
    study = conductor(rules(trials=100), budget=Budget(wall_s=100))
    baseline = start(study)
    assert study.next(Spent(wall_s=100)) is Pause.WAIT
    study.trial_ended(baseline.trial_id, S, None)
    assert study.next(Spent(wall_s=100)) is Pause.FINISHED
    assert study.stop_reason == "budget: wall_clock_h"


def test_a_budget_that_cuts_confirmation_short_is_named() -> None:
    study = conductor(rules(trials=2, max_running=1), budget=Budget(wall_s=1000))
    complete(study, start(study), 5.0)
    complete(study, start(study), 1.0)
    complete(study, start(study), 1.0)
    assert study.next(Spent(wall_s=1000)) is Pause.FINISHED
    assert study.stop_reason == "budget: wall_clock_h"


# ── resume ────────────────────────────────────────────────────────────────────────────────────


def test_resume_retells_ended_trials_and_starts_unfinished_ones_first() -> None:
    proposer = CountingProposer()
    failed = known(3, F, failure=Failure.CRASH)
    lost = known(4, F, failure=Failure.INFRASTRUCTURE)
    past = (known(0, C, 5.0, 5.0), known(1, R, 4.0), known(2, S, 9.0), failed, lost, known(5, C, 3.0, 2.0), known(6, R))
    study = conductor(rules(trials=9, max_running=1), proposer, known=past)
    kinds = [outcome and outcome.kind for _, _, outcome in proposer.replayed]
    assert kinds == [
        OutcomeKind.COMPLETED,
        None,
        OutcomeKind.PRUNED,
        OutcomeKind.INFEASIBLE,
        OutcomeKind.UNKNOWN,
        OutcomeKind.COMPLETED,
        None,
    ]
    assert [(trial_id, config) for trial_id, config, _ in proposer.replayed] == [
        (trial.trial_id, trial.config) for trial in past
    ]
    first = start(study)
    assert first == Assignment("0001", Phase.SEARCH, Config({"n": 0}), 2)
    complete(study, first, 3.5)
    order = run_all(study, {"0006": 9.0})
    assert order == ["0006", "0007", "0008", "0005-c1", "0000-c1", "0000-c2", "0005-c2"]
    assert [trial_id for trial_id, _ in proposer.told] == ["0001", "0006", "0007", "0008"]


def test_unfinished_trials_are_finished_even_at_the_trial_budget() -> None:
    past = (known(0, C, 5.0, 5.0), known(1, R), known(2, R))
    assert run_all(conductor(rules(trials=3, confirm=0), known=past), {}) == ["0001", "0002"]


def test_resume_with_more_trials_than_the_budget_starts_none() -> None:
    past = tuple(known(n, C, 5.0, 5.0 - n) for n in range(5))
    assert run_all(conductor(rules(trials=3, confirm=0), known=past), {}) == []


def test_resume_goes_on_where_confirmation_was() -> None:
    past = (known(0, C, 5.0, 5.0), known(1, C, 1.0, 1.0))
    done = dataclasses.replace(past[1], trial_id="0001-c1", phase=Phase.CONFIRM, scores=(score(1.0),))
    cut = dataclasses.replace(past[0], trial_id="0000-c1", phase=Phase.CONFIRM, state=R, scores=())
    study = conductor(rules(trials=2), known=(*past, done, cut))
    first = start(study)
    assert first == Assignment("0000-c1", Phase.CONFIRM, past[0].config, rungs=1)
    complete(study, first, 5.0)
    assert run_all(study, {}) == ["0000-c2", "0001-c2"]


@pytest.mark.parametrize("stored", [(0, 1, 3), (1, 2), (2,)], ids=str)
def test_no_id_is_given_out_twice_where_a_kill_left_gaps(stored: tuple[int, ...]) -> None:
    """Trials start side by side, so a later one may be in the store when an earlier one is not."""
    past = tuple(known(n, C, 5.0, 5.0) for n in stored)
    started = run_all(conductor(rules(trials=5, confirm=0), known=past), {})
    ids = [f"{n:04d}" for n in stored] + started
    assert sorted(ids) == ["0000", "0001", "0002", "0003", "0004"]


# ── a Config that was changed at its start ────────────────────────────────────────────────────


def test_what_ran_is_confirmed_and_the_searcher_is_told_of_what_it_proposed() -> None:
    proposer = CountingProposer()
    made = conductor(rules(trials=2, confirm=1, max_running=1), proposer)
    complete(made, start(made), 5.0)
    searched, ran = start(made), Config({"n": 0.5})
    for rung in (0, 1):
        ended = report(searched.trial_id, rung, 1.0, last=rung == 1)
        made.rung_ended(dataclasses.replace(ended, changed=ran))
    made.trial_ended(searched.trial_id, C, None)
    assert [trial_id for trial_id, _ in proposer.told] == ["0000", "0001"]
    confirmed = start(made)
    assert (confirmed.trial_id, confirmed.config) == ("0001-c1", ran)


def test_an_earlier_lifes_changed_config_is_confirmed_and_gone_on_with() -> None:
    ran = Config({"n": 0.5})
    for state, next_id in ((C, "0001-c1"), (R, "0001")):
        proposer = CountingProposer()
        past = (known(0, C, 5.0, 5.0), known(1, state, 1.0, 1.0, changed=ran))
        made = conductor(rules(trials=2, confirm=1, max_running=1), proposer, known=past)
        begun = start(made)
        assert (begun.trial_id, begun.config) == (next_id, ran)
        assert [config for _, config, _ in proposer.replayed][1] == Config({"n": 0})


# ── a disturbed trial ─────────────────────────────────────────────────────────────────────────


def test_the_searcher_is_not_told_of_what_others_had_a_part_in() -> None:
    proposer = CountingProposer()
    made = conductor(rules(trials=4, confirm=0, max_running=1), proposer)
    complete(made, start(made), 5.0)
    for disturbed in ((True, True), (True, False), (False, True)):  # by rung: the last one counts
        searched = start(made)
        for rung, is_disturbed in enumerate(disturbed):
            ended = report(searched.trial_id, rung, 1.0, last=rung == 1)
            made.rung_ended(dataclasses.replace(ended, disturbed=is_disturbed))
        made.trial_ended(searched.trial_id, C, None)
    told = [outcome.kind for _, outcome in proposer.told]
    assert told == [OutcomeKind.COMPLETED, OutcomeKind.UNKNOWN, OutcomeKind.COMPLETED, OutcomeKind.UNKNOWN]
    assert isinstance(made.next(NOTHING), Pause), "each was one of the study's trials"
    assert made.best() in ("0001", "0002", "0003"), "it may be the best nevertheless"


def test_a_disturbed_trial_that_failed_by_itself_is_told() -> None:
    proposer = CountingProposer()
    made = conductor(rules(trials=2, confirm=0, max_running=1), proposer)
    complete(made, start(made), 5.0)
    searched = start(made)
    made.rung_ended(dataclasses.replace(report(searched.trial_id, 0, 1.0), disturbed=True))
    made.trial_ended(searched.trial_id, F, Failure.CRASH)
    assert proposer.told[-1][1].kind is OutcomeKind.INFEASIBLE


def test_an_earlier_lifes_disturbed_trial_is_not_told_either() -> None:
    proposer = CountingProposer()
    past = (known(0, C, 5.0, 5.0), known(1, C, 1.0, 1.0, is_disturbed=True), known(2, C, 2.0, 2.0))
    conductor(rules(trials=3, confirm=0), proposer, known=past)
    kinds = [outcome and outcome.kind for _, _, outcome in proposer.replayed]
    assert kinds == [OutcomeKind.COMPLETED, OutcomeKind.UNKNOWN, OutcomeKind.COMPLETED]
