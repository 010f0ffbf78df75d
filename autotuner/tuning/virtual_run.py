"""VirtualRun: the trials of a study in this process and in virtual time, one event after another. Knows no Ray."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from autotuner.servers.replay.clock import VirtualClock
from autotuner.study.model import Study
from autotuner.tuning.decisions.assignment import Assignment, RungReport
from autotuner.tuning.decisions.capacity import need_of
from autotuner.tuning.study_run import StudyRun
from autotuner.tuning.trial.launch import Place
from autotuner.tuning.trial.rig import replay_rig
from autotuner.tuning.trial.trial import TrialRun
from autotuner.tuning.trial.trial_store import TrialStore

_NODE = "virtual"


class Judge(Protocol):
    """A trial scheduler: told of every trial, asked after each rung."""

    def begins(self, assignment: Assignment) -> None: ...

    def goes_on(self, assignment: Assignment, report: RungReport) -> bool: ...

    def ended(self, assignment: Assignment, report: RungReport) -> None: ...


@dataclass(order=True)
class _RungEnd:
    """A rung that ends at ``at_s``, in seconds since the epoch; of two at the same time the one that began first."""

    at_s: float
    number: int
    trial: _Trial = field(compare=False)
    report: RungReport = field(compare=False)


@dataclass
class _Trial:
    name: str
    assignment: Assignment
    clock: VirtualClock  # its own: trials run beside one another
    life: TrialRun


class VirtualRun:
    """``places``: trials at a time. ``ends_at``: epoch second at which the study's wall clock is spent."""

    def __init__(
        self,
        study: Study,
        run: StudyRun,
        judge: Judge,
        store: TrialStore,
        clock: VirtualClock,
        logs_of: Callable[[str], Path],
        places: int,
        ends_at: float | None,
    ) -> None:
        self._study = study
        self._run = run
        self._judge = judge
        self._store = store
        self._clock = clock
        self._logs_of = logs_of
        self._places = places
        self._ends_at = ends_at
        self._numbers = itertools.count()
        self._ends: list[_RungEnd] = []  # one for each running trial

    def go(self) -> None:
        """Until nothing runs and nothing more is handed out."""
        self._hand_out()
        while self._ends:
            ended = heapq.heappop(self._ends)
            self._clock.advance_to(ended.at_s)
            self._rung_ended(ended.trial, ended.report)
            self._hand_out()

    def _hand_out(self) -> None:
        while len(self._ends) < self._places:
            name = f"virtual-{next(self._numbers)}"
            assignment = self._run.next(name)
            if not isinstance(assignment, Assignment):
                return
            self._begin(name, assignment)

    def _begin(self, name: str, assignment: Assignment) -> None:
        clock = VirtualClock(self._clock.epoch_s())
        place = Place(
            node=_NODE,
            gpu_ids=(),
            accelerator=need_of(self._study, assignment.config).accelerator,
            log_dir=self._logs_of(assignment.trial_id),
            tags={},
        )
        rig = replay_rig(self._study, clock)
        life = TrialRun(self._study, assignment, place, rig, self._store, self._ends_at)
        self._judge.begins(assignment)
        self._run_rung(_Trial(name, assignment, clock, life), 0)

    def _run_rung(self, trial: _Trial, rung: int) -> None:
        report = trial.life.run_rung(rung)
        heapq.heappush(self._ends, _RungEnd(trial.clock.epoch_s(), next(self._numbers), trial, report))

    def _rung_ended(self, trial: _Trial, report: RungReport) -> None:
        self._run.rung_ended(trial.name, report)
        if not report.is_final:
            goes_on = self._judge.goes_on(trial.assignment, report)
            if goes_on and not self._run.must_stop(report):
                self._run_rung(trial, report.rung + 1)
                return
            report = trial.life.stop(report)
            self._run.rung_ended(trial.name, report)
        self._judge.ended(trial.assignment, report)
        self._run.trial_ended(trial.name, actor_lost=False)
