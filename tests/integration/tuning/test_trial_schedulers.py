"""Ray's own trial schedulers behind ours, with Ray's own trials; no cluster is needed to decide."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from autotuner.errors import Failure
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.results import OutputFolder, resolved_yaml
from autotuner.results.records import Phase, TrialState
from autotuner.scoring import Score, parse_objective
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.decisions.assignment import Assignment, RungReport
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.followed_trial import KnownTrial
from autotuner.tuning.decisions.placement_policy import Need, Share
from autotuner.tuning.decisions.rules import Rules
from autotuner.tuning.on_ray.trainable import ASSIGNMENT, HYPERBAND_TIME, REPORT, judged
from autotuner.tuning.on_ray.trial_schedulers import (
    StandIn,
    StudyTrialScheduler,
    make_inner,
    make_trial_scheduler,
    retell,
)
from autotuner.tuning.store_service import StoreService
from autotuner.tuning.study_run import StudyRun
from tests.integration.tuning_rig import VirtualClock
from tests.scores import joined, made_score
from tests.tuning_parts import CountingProposer, study

CONTINUE, STOP, PAUSE = TrialScheduler.CONTINUE, TrialScheduler.STOP, TrialScheduler.PAUSE


def given(kind: str, *, rungs: int = 3, eta: int = 2, objective: str = "ttft_p90") -> Study:
    return study(objective=objective, fidelity={"trial_scheduler": kind, "rungs": rungs, "eta": eta})


def score(study: Study, value: float | None) -> Score:
    """A rung's score; ``None`` is infeasible."""
    return made_score(value, study.objectives[0], feasible=value is not None)


@dataclass
class Stage:
    """Calls a trial scheduler in the order in which Ray's controller does; it is the controller, too."""

    study: Study
    path: Path
    known: Sequence[KnownTrial] = ()
    wall_s: float | None = None
    gpus: int = 0
    trials: dict[str, Trial] = field(default_factory=dict)
    clock: VirtualClock = field(default_factory=VirtualClock)

    def __post_init__(self) -> None:
        folder = OutputFolder(self.path)
        self.path.mkdir(exist_ok=True)
        store = StoreService(str(folder.path), resolved_yaml(self.study, "s1"), "s1", "t")
        objectives = tuple(parse_objective(name) for name in self.study.objectives)
        rules = Rules(999, self.study.fidelity.rungs, 1, objectives, Config(), None, "slo_met")
        conductor = Conductor(rules, CountingProposer(), Budget(wall_s=self.wall_s), self.known)
        self.run = StudyRun(conductor, store, [], self.clock, self._need_of, Spent(), lambda: None)
        self.scheduler: StudyTrialScheduler = make_trial_scheduler(self.study, self.run, self.known)

    def _need_of(self, _: Config) -> Need:
        return Need((Share(self.gpus, 1.0),))

    def add(self) -> str:
        """The next trial that the conductor hands out: the baseline first."""
        ray_id = f"ray{len(self.trials)}"
        assignment = self.run.next(ray_id)
        assert isinstance(assignment, Assignment)
        trial = Trial("trial", config={ASSIGNMENT: assignment}, trial_id=ray_id, stub=True)
        self.trials[assignment.trial_id] = trial
        self.scheduler.on_trial_add(self, trial)
        return assignment.trial_id

    def report(self, trial_id: str, rung: int, value: float | None, failure: Failure | None = None) -> str:
        """What is decided after a rung; the trial then ends where it must."""
        trial = self.trials[trial_id]
        trial.set_status(Trial.RUNNING)
        last = rung == self.study.fidelity.rungs - 1 and failure is None
        report = RungReport(trial_id, rung, last, score(self.study, value), failure=failure)
        result = {REPORT: report, **judged(self.study, rung, report.score), "training_iteration": rung + 1}
        decision = STOP
        if not report.is_final:
            decision = self.scheduler.on_trial_result(self, trial, result)
        if decision == STOP:
            self.scheduler.on_trial_complete(self, trial, result)
            self.run.rung_ended(trial.trial_id, report)
            self.run.trial_ended(trial.trial_id, actor_lost=False)
            trial.set_status(Trial.TERMINATED)
        if decision == PAUSE:
            trial.set_status(Trial.PAUSED)
        return str(decision)

    def stop_trial(self, trial: Trial) -> None:
        """Ray's controller ends a paused trial."""
        self.scheduler.on_trial_remove(self, trial)
        self.run.trial_ended(trial.trial_id, actor_lost=False)
        trial.set_status(Trial.TERMINATED)

    def get_trials(self) -> list[Trial]:
        return [*self.trials.values()]

    def get_live_trials(self) -> list[Trial]:
        return [trial for trial in self.trials.values() if trial.status != Trial.TERMINATED]


Stages = Callable[..., Stage]


@pytest.fixture
def stages(tmp_path: Path) -> Stages:
    numbers = iter(range(1000))
    return lambda study, **more: Stage(study, tmp_path / str(next(numbers)), **more)


def searched(stage: Stage, *values: float | None) -> list[str]:
    """New searched trials, each with its first rung; returns what was decided."""
    if not stage.trials and not stage.known:
        stage.add()
    return [stage.report(stage.add(), 0, value) for value in values]


# ── ASHA ──────────────────────────────────────────────────────────────────────────────────────


def test_asha_stops_the_worse_half_at_eta_2(stages: Stages) -> None:
    assert searched(stages(given("asha")), 100, 200, 50, 120, 60) == [CONTINUE, STOP, CONTINUE, STOP, CONTINUE]


def test_asha_of_a_maximised_objective(stages: Stages) -> None:
    assert searched(stages(given("asha", objective="throughput")), 100, 50, 200, 60) == [CONTINUE, STOP, CONTINUE, STOP]


@pytest.mark.parametrize("objective", ["ttft_p90", "throughput"])
def test_an_infeasible_trial_is_stopped_among_feasible_ones(stages: Stages, objective: str) -> None:
    values = (10, 20) if objective == "ttft_p90" else (20, 10)
    assert searched(stages(given("asha", objective=objective)), *values, None) == [CONTINUE, STOP, STOP]


def test_the_baseline_is_neither_stopped_nor_compared_with(stages: Stages) -> None:
    stage = stages(given("asha"))
    baseline = stage.add()
    assert stage.report(baseline, 0, 1.0) == CONTINUE
    assert searched(stage, 50, 40, 30) == [CONTINUE, CONTINUE, CONTINUE]
    assert stage.report(baseline, 1, 1e9) == CONTINUE
    assert stage.report(baseline, 2, None) == STOP, "its own end"
    assert searched(stage, 20) == [CONTINUE]


def test_milestones_fall_on_every_rung(stages: Stages) -> None:
    """Each rung is judged against the trials that reached it, at eta 3 and four rungs, too."""
    for rung in range(3):
        stage = stages(given("asha", rungs=4, eta=3))
        stage.add()
        good, bad = stage.add(), stage.add()
        for earlier in range(rung):
            assert stage.report(good, earlier, 100 - earlier) == CONTINUE
            assert stage.report(bad, earlier, 1) == CONTINUE
        assert stage.report(good, rung, 50) == CONTINUE
        assert stage.report(bad, rung, 60) == STOP


def test_a_failure_that_is_not_the_configs_is_not_compared_with(stages: Stages) -> None:
    stage = stages(given("asha"))
    assert searched(stage, 10) == [CONTINUE]
    for _ in range(3):
        assert stage.report(stage.add(), 0, None, Failure.INFRASTRUCTURE) == STOP
    assert searched(stage, 20) == [STOP], "else three infeasible scores would make 20 look good"


def test_a_failure_of_the_config_is_compared_with(stages: Stages) -> None:
    stage = stages(given("asha"))
    assert searched(stage, 10) == [CONTINUE]
    for _ in range(3):
        assert stage.report(stage.add(), 0, None, Failure.CRASH) == STOP
    assert searched(stage, 20) == [CONTINUE]


def test_a_spent_budget_stops_even_the_baseline(stages: Stages) -> None:
    stage = stages(given("none"), wall_s=60)
    baseline = stage.add()
    assert stage.report(baseline, 0, 1.0) == CONTINUE
    stage.clock.now_s += 60
    assert stage.report(baseline, 1, 1.0) == STOP


class Actor:
    """A trial's process, as far as it is told to end."""

    def __init__(self) -> None:
        self.ends = 0
        self.end_early = self

    def remote(self) -> None:
        self.ends += 1


@pytest.mark.parametrize("kind", ["asha", "median"])
def test_a_running_trial_that_is_to_stop_is_told_to_end_by_itself(stages: Stages, kind: str) -> None:
    stage = stages(given(kind))
    assert searched(stage, 10, 20, 15) != [STOP] * 3
    worst, actor = stage.add(), Actor()
    stage.trials[worst].temporary_state.ray_actor = actor
    assert stage.report(worst, 0, 99) == CONTINUE
    assert actor.ends == 1
    better, actor = stage.add(), Actor()
    stage.trials[better].temporary_state.ray_actor = actor
    assert stage.report(better, 0, 5) == CONTINUE
    assert actor.ends == 0


@pytest.mark.parametrize("kind", ["asha", "hyperband", "median", "none"])
def test_one_rung_leaves_nothing_to_stop(stages: Stages, kind: str) -> None:
    stage = stages(given(kind, rungs=1))
    stage.add()
    assert stage.report(stage.add(), 0, 5.0) == STOP
    assert stage.scheduler.debug_string()


def test_without_a_trial_scheduler_none_is_stopped(stages: Stages) -> None:
    assert searched(stages(given("none")), 1, 1e9, None, 2) == [CONTINUE] * 4


def test_baseline_and_confirmations_start_before_searched_trials(stages: Stages) -> None:
    stage = stages(given("asha"))
    baseline, one = stage.add(), stage.add()
    assert stage.scheduler.choose_trial_to_run(stage) is stage.trials[baseline]
    stage.trials[baseline].set_status(Trial.RUNNING)
    stage.trials[one].config[ASSIGNMENT] = Assignment("0001-c1", Phase.CONFIRM, Config(), 1)
    two = stage.add()
    assert stage.trials[two].status == Trial.PENDING
    assert stage.scheduler.choose_trial_to_run(stage) is stage.trials[one]


# ── median ────────────────────────────────────────────────────────────────────────────────────


def test_median_stops_what_is_worse_than_the_median_of_three_others(stages: Stages) -> None:
    assert searched(stages(given("median")), 10, 20, 30, 25, 15) == [CONTINUE, CONTINUE, CONTINUE, STOP, CONTINUE]


def test_median_never_pauses_a_trial_for_one_that_waits(stages: Stages) -> None:
    """A pause would end its server, and launch it again later."""
    stage = stages(given("median"))
    stage.add()
    first, _ = stage.add(), stage.add()
    assert stage.report(first, 0, 10) == CONTINUE


# ── a second life ─────────────────────────────────────────────────────────────────────────────


def live_through(stage: Stage, rng: random.Random, count: int) -> list[KnownTrial]:
    """``count`` searched trials with random scores and failures to their ends, as a resume would find them."""
    stage.add()
    ended = []
    for _ in range(count):
        trial_id = stage.add()
        assignment: Assignment = stage.trials[trial_id].config[ASSIGNMENT]
        scores: list[Score] = []
        state, failure = TrialState.STOPPED, None
        for rung in range(stage.study.fidelity.rungs):
            value = rng.choice([None, rng.uniform(1, 100), rng.uniform(1, 100), rng.uniform(1, 100)])
            failure = rng.choice([*[None] * 8, Failure.CRASH, Failure.INFRASTRUCTURE])
            decision = stage.report(trial_id, rung, None if failure else value, failure)
            if failure is None or rung:  # the store has what was measured before a server died, but no failed launch
                scores.append(score(stage.study, value))
            if failure is not None:
                state = TrialState.FAILED
            elif rung == stage.study.fidelity.rungs - 1:
                state = TrialState.COMPLETED
            if decision == STOP:
                break
        ended.append(KnownTrial(trial_id, Phase.SEARCH, assignment.config, state, failure, tuple(scores), 1.0))
    return ended


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("objective", ["ttft_p90", "throughput"])
@pytest.mark.parametrize("kind", ["asha", "median"])
def test_a_resumed_study_decides_as_one_that_lived_on(stages: Stages, kind: str, objective: str, seed: int) -> None:
    first = stages(given(kind, objective=objective))
    ended = live_through(first, random.Random(seed), 12)
    assert {trial.state for trial in ended} >= {TrialState.STOPPED, TrialState.FAILED}
    baseline = KnownTrial("0000", Phase.BASELINE, Config(), TrialState.COMPLETED, None, (), 1.0)
    second = stages(first.study, known=[baseline, *ended])
    decisions = []
    for stage in (first, second):
        rng = random.Random(seed + 100)
        later = []
        for _ in range(12):
            trial_id = stage.add()
            for rung in range(3):
                later.append(stage.report(trial_id, rung, rng.uniform(1, 100)))
                if later[-1] == STOP:
                    break
        decisions.append(later)
    assert decisions[0] == decisions[1]
    assert {CONTINUE, STOP} == set(decisions[0])


def test_an_empty_past_with_median_or_asha_or_hyperband(stages: Stages) -> None:
    past = KnownTrial("0001", Phase.SEARCH, Config({"n": 0}), TrialState.STOPPED, None, (), 1.0)
    base = KnownTrial("0000", Phase.BASELINE, Config(), TrialState.COMPLETED, None, (), 1.0)
    for kind in ("asha", "median", "hyperband", "none"):
        stage = stages(given(kind), known=[base, past])
        assert stage.add() == "0002"
        assert stage.report("0002", 0, 5.0) in (CONTINUE, PAUSE)


# ── HyperBand ─────────────────────────────────────────────────────────────────────────────────


def hyperband_stage(stages: Stages, trials: int, *, rungs: int, eta: int = 2) -> Stage:
    """With so many searched trials, none of them begun."""
    stage = stages(given("hyperband", eta=eta, rungs=rungs))
    stage.report(stage.add(), 0, 5.0)
    for _ in range(trials):
        stage.add()
    stage.trials["0000"].set_status(Trial.TERMINATED)
    return stage


def run_all(
    stage: Stage, outcome: Callable[[], tuple[float | None, Failure | None]]
) -> tuple[dict[str, int], dict[str, int]]:
    """Runs whatever is chosen until nothing is: the rungs that trials reached, and those they were first paused at."""
    reached = {trial_id: -1 for trial_id in stage.trials if trial_id != "0000"}
    first_pause: dict[str, int] = {}
    while (trial := stage.scheduler.choose_trial_to_run(stage)) is not None:
        trial_id = trial.config[ASSIGNMENT].trial_id
        decision = CONTINUE
        while decision == CONTINUE:
            reached[trial_id] += 1
            decision = stage.report(trial_id, reached[trial_id], *outcome())
            if decision == PAUSE:
                first_pause.setdefault(trial_id, reached[trial_id])
    return reached, first_pause


@pytest.mark.parametrize("rungs", [2, 3, 4])
@pytest.mark.parametrize("eta", [2, 3])
def test_hyperband_judges_at_rungs_and_every_trial_ends(stages: Stages, eta: int, rungs: int) -> None:
    """No milestone of a bracket falls between two rungs, and no trial stays paused for ever."""
    stage = hyperband_stage(stages, 60, rungs=rungs, eta=eta)
    rng = random.Random(0)
    milestones: set[int] = set()

    def outcome() -> tuple[float, None]:
        milestones.update(int(found) for found in re.findall(r"\(r\)=(\d+)", stage.scheduler.debug_string()))
        return rng.uniform(1, 100), None

    reached, first_pause = run_all(stage, outcome)
    assert {t.status for t in stage.trials.values()} == {Trial.TERMINATED}
    assert {rung_at(stage.study, milestone) for milestone in milestones} == set(range(rungs))
    assert milestones == {eta**rung for rung in range(rungs)}
    assert set(first_pause.values()) >= set(range(rungs - 1)), "a bracket for each rung"
    finished = [trial_id for trial_id in reached if reached[trial_id] == rungs - 1]
    assert 0 < len(finished) < len(reached), "some are stopped, some are not"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rungs", [2, 3, 4])
def test_hyperband_waits_for_no_trial_that_has_failed(stages: Stages, rungs: int, seed: int) -> None:
    stage = hyperband_stage(stages, 40, rungs=rungs)
    rng = random.Random(seed)

    def outcome() -> tuple[float | None, Failure | None]:
        failure = rng.choice([*[None] * 4, Failure.CRASH, Failure.INFRASTRUCTURE])
        return (None if failure else rng.uniform(1, 100)), failure

    reached, _ = run_all(stage, outcome)
    assert {t.status for t in stage.trials.values()} == {Trial.TERMINATED}
    assert rungs - 1 in reached.values()


def test_a_trial_that_hyperband_has_paused_spends_no_gpu_time(stages: Stages) -> None:
    stage = stages(given("hyperband", rungs=2), gpus=4)
    searched = [stage.add() for _ in range(3)][1:]
    stage.clock.now_s += 1000
    stage.scheduler.choose_trial_to_run(stage)
    waiting_s = stage.run.spent().gpu_s
    stage.clock.now_s += 1000
    assert stage.run.spent().gpu_s == waiting_s, "none has been started"
    for trial_id in searched:
        stage.trials[trial_id].set_status(Trial.RUNNING)
    stage.scheduler.choose_trial_to_run(stage)
    stage.clock.now_s += 10
    stage.trials[searched[0]].set_status(Trial.PAUSED)
    stage.scheduler.choose_trial_to_run(stage)
    stage.clock.now_s += 100
    assert stage.run.spent().gpu_s - waiting_s == 4 * 10 + 4 * 110
    stage.trials[searched[0]].set_status(Trial.RUNNING)
    stage.scheduler.choose_trial_to_run(stage)
    stage.clock.now_s += 1
    stage.run.trial_ended(stage.trials[searched[0]].trial_id, actor_lost=False)
    stage.clock.now_s += 1
    assert stage.run.spent().gpu_s - waiting_s == 4 * 11 + 4 * 112


def test_hyperband_ends_a_trial_that_is_being_paused_when_it_has_been(stages: Stages) -> None:
    """Its servers end as it is saved: told before that, it would be done with its GPUs' memory still taken."""
    stage = stages(given("hyperband", rungs=2))
    stage.report(stage.add(), 0, 5.0)
    _, _, bad, good = (stage.trials[stage.add()] for _ in range(4))  # the first bracket stops none
    assert stage.report(bad.config[ASSIGNMENT].trial_id, 0, 90) == PAUSE
    bad.set_status(Trial.RUNNING)
    bad.temporary_state.saving_to = object()
    assert stage.report(good.config[ASSIGNMENT].trial_id, 0, 10) == CONTINUE
    stage.scheduler.choose_trial_to_run(stage)
    assert bad.status == Trial.RUNNING
    bad.temporary_state.saving_to = None
    bad.set_status(Trial.PAUSED)
    stage.scheduler.choose_trial_to_run(stage)
    assert bad.status == Trial.TERMINATED
    assert stage.report(good.config[ASSIGNMENT].trial_id, 1, 10) == STOP, "its last rung"


def rung_at(study: Study, milestone: int) -> int:
    """The first rung whose time reaches the milestone."""
    return next(rung for rung in range(9) if judged(study, rung, None)[HYPERBAND_TIME] >= milestone)


# ── by levels ─────────────────────────────────────────────────────────────────────────────────


def at_level(value: float) -> LoadLevel:
    return LoadLevel(LoadKind.CONCURRENCY, value)


@pytest.mark.parametrize(("kind", "others"), [("asha", 1), ("median", 3)])
def test_trials_that_began_at_different_levels_are_not_compared(kind: str, others: int) -> None:
    fidelity = {"trial_scheduler": kind, "rungs": 2, "eta": 2, "cut": "levels"}
    inner = make_inner(study(objective="throughput", fidelity=fidelity))

    def told(number: int, level: float, value: float) -> str:
        assignment = Assignment(f"{number:04d}", Phase.SEARCH, Config({"n": number}), 2, probe=at_level(level))
        trial = StandIn.of(assignment, Trial.RUNNING)
        inner.on_trial_add(None, trial)
        scored = made_score(value, "throughput")
        return str(inner.on_trial_result(None, trial, {**judged_of(scored), "training_iteration": 1}))

    def judged_of(scored: Score) -> dict[str, Any]:
        return judged(study(objective="throughput", fidelity=fidelity), 0, scored)

    for number in range(others):
        assert told(number, 1, 100) == CONTINUE
    assert told(10, 2, 1) == CONTINUE, "the first at its level"
    assert told(11, 1, 1) == STOP


# ── of several objectives ─────────────────────────────────────────────────────────────────────


def decisions(compare: str, *pairs: tuple[float, float], known: Sequence[KnownTrial] = ()) -> list[str]:
    """What ASHA decides after the first rung of trials with that throughput and TTFT, one after another."""
    both = ["throughput", "ttft_p90"]
    asked = study(objective=both, fidelity={"trial_scheduler": "asha", "rungs": 2, "eta": 2, "compare": compare})
    inner = make_inner(asked)
    retell(inner, asked, known)
    found = []
    for number, pair in enumerate(pairs):
        trial = StandIn.of(Assignment(f"{number:04d}", Phase.SEARCH, Config({"n": number}), 2), Trial.RUNNING)
        inner.on_trial_add(None, trial)
        found.append(str(inner.on_trial_result(None, trial, judged(asked, 0, _of_both(pair)))))
    return found


def _of_both(pair: tuple[float, float]) -> Score:
    return joined(*(made_score(value, name) for value, name in zip(pair, ("throughput", "ttft_p90"), strict=True)))


def test_a_trial_of_several_objectives_is_stopped_where_others_are_better_in_all_of_them() -> None:
    ends_and_middle = (900.0, 90.0), (100.0, 10.0), (200.0, 20.0)
    assert decisions("auto", *ends_and_middle, (90.0, 95.0)) == [CONTINUE, CONTINUE, CONTINUE, STOP]
    assert decisions("first", *ends_and_middle) == [CONTINUE, STOP, STOP], "by throughput alone"


def test_a_study_that_goes_on_compares_with_the_fronts_of_its_earlier_life() -> None:
    past = [
        KnownTrial(
            f"9{n}", Phase.SEARCH, Config({"n": 90 + n}), TrialState.STOPPED, None, (_of_both((500.0, 40.0)),), 1.0
        )
        for n in range(2)
    ]
    assert decisions("auto", (400.0, 50.0), known=past) == [STOP]
    assert decisions("auto", (400.0, 30.0), known=past) == [CONTINUE]
