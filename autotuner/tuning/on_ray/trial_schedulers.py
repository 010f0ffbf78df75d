"""Trial schedulers: which trials go on to their next rung."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    AsyncHyperBandScheduler,
    FIFOScheduler,
    MedianStoppingRule,
    TrialScheduler,
)

from autotuner.benchmark import cuts_by_levels, rungs_of
from autotuner.results.records import Phase, TrialState
from autotuner.scoring import parse_objective, parse_objectives, score_rung
from autotuner.study.model import Study
from autotuner.tuning.decisions.assignment import Assignment, RungReport
from autotuner.tuning.decisions.followed_trial import KnownTrial
from autotuner.tuning.on_ray.by_front import ByFront
from autotuner.tuning.on_ray.by_probe import ByProbe
from autotuner.tuning.on_ray.hyperband import HyperBand
from autotuner.tuning.on_ray.trainable import ASSIGNMENT, HYPERBAND_TIME, REPORT, RESOURCE, SCORE, judged
from autotuner.tuning.on_ray.worker_reuse import wait_for_next_trial
from autotuner.tuning.study_run import StudyRun


class StudyTrialScheduler(FIFOScheduler):  # type: ignore[misc]  # Ray has no type stubs
    """Lets the inner scheduler judge searched trials alone: baseline and confirmations always run to their end."""

    def __init__(self, inner: TrialScheduler, run: StudyRun) -> None:
        super().__init__()
        self._inner = inner
        self._run = run
        self._judged: set[tuple[str, int]] = set()  # rungs of trials that were started again are reported again

    def __getstate__(self) -> dict[str, Any]:
        return {}  # for Ray's own snapshot, which is never read

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        return True  # the inner scheduler was made with its metric and mode

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        if _is_searched(trial):
            self._inner.on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        if _is_searched(trial):
            self._inner.on_trial_error(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        report: RungReport = result[REPORT]
        action = str(TrialScheduler.CONTINUE)
        if _is_searched(trial) and not self._was_judged(report):
            action = str(self._inner.on_trial_result(tune_controller, trial, result))
        if self._run.must_stop(report):
            action = str(TrialScheduler.STOP)
        return self._end_early(trial) if action == TrialScheduler.STOP else action

    def _end_early(self, trial: Trial) -> str:
        """Has the trial end by itself: it is told done when its servers are gone and their GPUs' memory is back.

        Ray Tune tells of a trial that it stops before it goes about that.
        """
        actor = trial.temporary_state.ray_actor
        if actor is None:
            return str(TrialScheduler.STOP)
        actor.end_early.remote()
        self._run.stops(trial.trial_id)
        return str(TrialScheduler.CONTINUE)

    def _was_judged(self, report: RungReport) -> bool:
        """HyperBand judges brackets of trials as Ray knows them, so that a trial that came back is a new one to it."""
        rung = (report.trial_id, report.rung)
        is_known = rung in self._judged and not isinstance(self._inner, HyperBand)
        self._judged.add(rung)
        return is_known

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        wait_for_next_trial(tune_controller)
        if not _is_searched(trial):
            return
        if is_judged(result, result.get(REPORT)):
            self._inner.on_trial_complete(tune_controller, trial, result)
        else:
            self._inner.on_trial_remove(tune_controller, trial)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        if _is_searched(trial):
            self._inner.on_trial_remove(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        if isinstance(self._inner, HyperBand):
            self._inner.end_saved(tune_controller)
            trials = tune_controller.get_trials()
            self._run.hold_gpus({trial.trial_id for trial in trials if trial.status == Trial.RUNNING})
        pending = [trial for trial in tune_controller.get_trials() if trial.status == Trial.PENDING]
        for trial in pending:
            if self._run.has_no_node(trial.trial_id):
                tune_controller.stop_trial(trial)
        for trial in pending:
            if trial.status == Trial.PENDING and not _is_searched(trial):  # not one that was just stopped
                return trial
        return self._inner.choose_trial_to_run(tune_controller)

    def debug_string(self) -> str:
        return str(self._inner.debug_string())


def make_trial_scheduler(study: Study, run: StudyRun, known: Iterable[KnownTrial]) -> StudyTrialScheduler:
    """The study's trial scheduler, told of the rungs of earlier lives."""
    inner = make_inner(study)
    retell(inner, study, known)
    return StudyTrialScheduler(inner, run)


def is_judged(result: Mapping[str, Any], report: RungReport | None) -> bool:
    """Whether the last result of an ended trial says something about its Config."""
    return SCORE in result and (report is None or report.failure is None or report.failure.blames_config)


def make_inner(study: Study) -> TrialScheduler:
    """Ray Tune's own, that judges searched trials; where rungs are cut by levels, one for each first level."""
    return ByProbe(partial(_of_objectives, study)) if cuts_by_levels(study) else _of_objectives(study)


def _of_objectives(study: Study) -> TrialScheduler:
    if study.compares_by_front:
        return ByFront(_make(study, "max"))
    return _make(study, str(parse_objective(study.objectives[0]).direction))


def _make(study: Study, mode: str) -> TrialScheduler:
    fidelity, rungs = study.fidelity, rungs_of(study)
    judged = {"metric": SCORE, "mode": mode}
    full = fidelity.eta ** (rungs - 1)
    match fidelity.trial_scheduler:
        case "asha" if rungs > 1:
            return AsyncHyperBandScheduler(
                time_attr=RESOURCE,
                max_t=full,
                grace_period=1,
                reduction_factor=fidelity.eta,
                stop_last_trials=False,
                **judged,
            )
        case "hyperband" if rungs > 1:
            return HyperBand(time_attr=HYPERBAND_TIME, max_t=full, reduction_factor=fidelity.eta, **judged)
        case "median" if rungs > 1:
            return MedianStoppingRule(
                time_attr=RESOURCE,
                grace_period=1,
                min_samples_required=3,
                min_time_slice=math.inf,  # else it pauses trials in favour of waiting ones: a relaunch each
                hard_stop=True,
                **judged,
            )
        case _:
            return FIFOScheduler()


@dataclass(eq=False)
class StandIn:
    """For a trial that Ray Tune does not run: its schedulers look at no more than its id and state, ours at its
    assignment."""

    trial_id: str
    status: str
    config: Mapping[str, Assignment] = field(default_factory=dict)

    @classmethod
    def of(cls, assignment: Assignment, status: str) -> Self:
        return cls(assignment.trial_id, status, {ASSIGNMENT: assignment})


def retell(inner: TrialScheduler, study: Study, known: Iterable[KnownTrial]) -> None:
    """Tells ended trials as they were told when they ended, so that a resumed study decides as one that lived on.

    Not HyperBand, whose brackets can't be refilled: it starts new ones.
    """
    if isinstance(inner, HyperBand):
        return
    for trial in known:
        if trial.phase is not Phase.SEARCH or not trial.state.is_terminal:
            continue
        assignment = Assignment(trial.trial_id, trial.phase, trial.config, rungs_of(study), probe=trial.probe)
        past = StandIn.of(assignment, Trial.TERMINATED)
        inner.on_trial_add(None, past)
        results = _past_results(trial, study)
        # A stopped trial was judged at every rung; of the others, the last rung ended the trial before that.
        for result in results if trial.state is TrialState.STOPPED else results[:-1]:
            inner.on_trial_result(None, past, result)
        if results and (trial.failure is None or trial.failure.blames_config):
            inner.on_trial_complete(None, past, results[-1])
        else:
            inner.on_trial_remove(None, past)


def _past_results(trial: KnownTrial, study: Study) -> list[dict[str, Any]]:
    """What Ray was given for each rung of an ended trial; the rung that one failed in has the worst score."""
    scores = [*trial.scores]
    if trial.state is TrialState.FAILED:
        objectives = parse_objectives(study.objectives)
        scores[max(len(scores) - 1, 0) :] = [score_rung([], [], study.slo, objectives)]
    return [judged(study, rung, score) for rung, score in enumerate(scores)]


def _is_searched(trial: Trial) -> bool:
    assignment: Assignment = trial.config[ASSIGNMENT]
    return assignment.phase is Phase.SEARCH
