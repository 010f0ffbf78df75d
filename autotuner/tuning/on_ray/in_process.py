"""A replayed study in this process: Ray Tune's trial schedulers judge its trials, and Ray itself is not started."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from autotuner.results import OutputFolder, resolved_yaml
from autotuner.results.records import Phase, StudyStatus
from autotuner.servers.replay.clock import VirtualClock
from autotuner.study.model import Study
from autotuner.tuning.decisions.assignment import Assignment, RungReport
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.capacity import need_of
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.put_back import PutBack
from autotuner.tuning.events import Observer, StudyEnded
from autotuner.tuning.on_ray.interrupts import Interrupts
from autotuner.tuning.on_ray.trainable import judged
from autotuner.tuning.on_ray.trial_schedulers import StandIn, is_judged, make_inner, retell
from autotuner.tuning.proposers import make_proposer
from autotuner.tuning.store_service import StoreService
from autotuner.tuning.study_life import (
    INTERRUPTED,
    Ending,
    concluded,
    find_space,
    keep_flag_beliefs,
    rules_of,
    started,
    take_up,
)
from autotuner.tuning.study_run import StudyRun
from autotuner.tuning.virtual_run import VirtualRun


def runs_in_process(study: Study, address: str | None) -> bool:
    """Whether no Ray is needed. HyperBand pauses trials, which Ray Tune alone can."""
    return study.launcher.kind == "replay" and address is None and study.fidelity.trial_scheduler != "hyperband"


def run_in_process(study: Study, study_id: str, folder: OutputFolder, observers: Sequence[Observer]) -> Ending:
    """As ``runner.run_study``."""
    interrupts = Interrupts()
    stop_reason = ""
    clock = VirtualClock(time.time())
    service = StoreService(
        str(folder.path), resolved_yaml(study, study_id), study_id, study.name, virtual=VirtualClock(clock.epoch_s())
    )
    clock.advance_to(_last_known(service))  # an earlier life may have gone on further than the real clock has
    with contextlib.suppress(KeyboardInterrupt), interrupts.hear(), interrupts.watch():
        stop_reason = _run(study, folder, observers, interrupts, service, clock)
    if not stop_reason:
        interrupts.note(signal.SIGINT)
        stop_reason = INTERRUPTED
    account = service.account()
    for observer in observers:
        observer.on_event(StudyEnded(stop_reason, account))
    return Ending(stop_reason, interrupts.exit_code)


def _last_known(service: StoreService) -> float:
    times = [trial.ended_at or trial.started_at for trial in service.trials()]
    return max(times, default=0.0)


def _run(
    study: Study,
    folder: OutputFolder,
    observers: Sequence[Observer],
    interrupts: Interrupts,
    store: StoreService,
    clock: VirtualClock,
) -> str:
    space, baselines = find_space(study, folder, nodes=None)
    known = take_up(store)
    budget = Budget.of(study)
    places = study.search.max_concurrent_trials or 1
    need = partial(need_of, study)
    proposer = make_proposer(study, space)
    conductor = Conductor(
        rules_of(study, baselines, places), proposer, budget, known, need, put_back=PutBack(study, space)
    )
    account = store.account()
    before = Spent(gpu_s=account.gpu_s)
    run = StudyRun(conductor, store, observers, clock, need, before, interrupts.heed)
    run.tell(started(study, folder, places, {}, known, conductor, account))
    ends_at = None if budget.wall_s is None else clock.epoch_s() + budget.wall_s - run.spent().wall_s
    judge = _TuneJudge(study)
    retell(judge.inner, study, known)
    try:
        VirtualRun(study, run, judge, store, clock, folder.trial_logs, places, ends_at).go()
    finally:
        if not run.finished:
            store.end_study(StudyStatus.INTERRUPTED, INTERRUPTED)
    return concluded(run, store, partial(keep_flag_beliefs, study, space, folder, conductor, proposer))


class _TuneJudge:
    """Ray Tune's trial scheduler of the study, for searched trials alone."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._stubs: dict[str, StandIn] = {}
        self.inner: TrialScheduler = make_inner(study)

    def begins(self, assignment: Assignment) -> None:
        if assignment.phase is Phase.SEARCH:
            stub = self._stubs.setdefault(assignment.trial_id, StandIn.of(assignment, Trial.RUNNING))
            self.inner.on_trial_add(None, stub)

    def goes_on(self, assignment: Assignment, report: RungReport) -> bool:
        if assignment.phase is not Phase.SEARCH:
            return True
        stub = self._stubs[assignment.trial_id]
        return bool(self.inner.on_trial_result(None, stub, self._result(report)) != TrialScheduler.STOP)

    def ended(self, assignment: Assignment, report: RungReport) -> None:
        if assignment.phase is not Phase.SEARCH:
            return
        stub = self._stubs.pop(assignment.trial_id)
        stub.status = Trial.TERMINATED
        result = self._result(report)
        if is_judged(result, report):
            self.inner.on_trial_complete(None, stub, result)
        else:
            self.inner.on_trial_remove(None, stub)

    def _result(self, report: RungReport) -> dict[str, Any]:
        return judged(self._study, report.rung, report.score)
