"""Where a study stands, found from its folder and store alone."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autotuner.benchmark import rungs_of
from autotuner.errors import FolderError
from autotuner.results.account import Account, make_account
from autotuner.results.driver import Driver, DriverState, find_driver
from autotuner.results.fetched import FetchedCopy, fetched_copy
from autotuner.results.finals import most_runs
from autotuner.results.folder import OutputFolder
from autotuner.results.noise.recorded_drift import fair_scores, recorded_drift
from autotuner.results.pace import left_s
from autotuner.results.points import final_scores
from autotuner.results.progress import Doing, RunningTrial, StudyProgress
from autotuner.results.recorded_finals import recorded_finals
from autotuner.results.records import (
    FailureRecord,
    Phase,
    QuarantineRecord,
    RungRecord,
    StudyRecord,
    TrialRecord,
    TrialState,
)
from autotuner.results.replayed import replayed_text
from autotuner.results.scope import scope_text
from autotuner.results.standing import Standing, find_standing
from autotuner.results.storage.store import Store
from autotuner.results.summary import not_counted
from autotuner.results.trial_logs import last_written_at
from autotuner.results.waits import Wait
from autotuner.scoring import Choice, parse_objectives, select_best
from autotuner.study.model import Study


def study_progress(path: str | Path, *, database: str | None = None, now: float | None = None) -> StudyProgress:
    """Where the study of an output folder stands at ``now`` (epoch seconds; by default the present).

    ``database`` is the URL of its results where they are not in the folder. Only reads, and keeps no writer waiting.
    Raises FolderError for a folder that is no study's.
    """
    folder = OutputFolder(Path(path))
    if not folder.path.is_dir():
        raise FolderError(f"{folder.path} is not a folder", key="DIR", value=str(path))
    study = folder.load_study()
    driver = find_driver(folder)
    now = time.time() if now is None else now
    stored = _stored(folder, database, now if driver.state is DriverState.ALIVE else None)
    return _Found(folder, study, driver, stored, now, fetched_copy(folder)).progress()


def _stored(folder: OutputFolder, database: str | None, alive_at: float | None) -> _Stored:
    """What the store has; nothing while it is not there yet. ``alive_at``: when the driver lives, for what is held."""
    if database is None and not folder.database.is_file():
        return _Stored()
    with Store(database or folder.database_url, folder.requests, read_only=True) as store:
        record = store.find_study(folder.study_id or "")
        if record is None:
            return _Stored()
        # Trials before rungs: those of a trial that ends meanwhile must not be missing.
        trials = store.trials(now=alive_at)
        rungs: dict[str, list[RungRecord]] = {}
        for rung in store.scores():
            rungs.setdefault(rung.trial_id, []).append(rung)
        account = make_account(store.lives(), trials, now=alive_at)
        return _Stored(record, trials, rungs, store.failures(), store.quarantines(), account, store.waits())


@dataclass(frozen=True)
class _Stored:
    record: StudyRecord | None = None
    trials: Sequence[TrialRecord] = ()
    rungs: Mapping[str, Sequence[RungRecord]] = field(default_factory=dict)
    failures: Sequence[FailureRecord] = ()
    quarantines: Sequence[QuarantineRecord] = ()
    account: Account = field(default_factory=Account)
    waits: Sequence[Wait] = ()


@dataclass(frozen=True)
class _Found:
    """What was read, and what follows from it at ``now``."""

    folder: OutputFolder
    study: Study
    driver: Driver
    stored: _Stored
    now: float
    fetched: FetchedCopy | None

    def progress(self) -> StudyProgress:
        study = self.study
        running = tuple(self._running_trial(t) for t in self.stored.trials if not t.state.is_terminal)
        best = self._best()
        states = Counter(t.state for t in self.stored.trials if t.phase.explores)
        return StudyProgress(
            name=study.name,
            study_id=self.folder.study_id or "",
            path=self.folder.path,
            at=self.now,
            standing=self._standing(),
            driver=self.driver,
            phase=self._phase(),
            objective=study.objectives[0],
            rungs=rungs_of(study),
            trials_planned=study.search.trials,
            trials={state: states[state] for state in TrialState},
            not_counted=not_counted(self.stored.trials),
            confirmations=(self._confirmed(), self._most_confirmations()),
            running=running,
            failures=dict(Counter(f.failure.value for f in self.stored.failures).most_common()),
            best=best,
            best_config=next((t.config for t in self.stored.trials if best and t.trial_id == best.trial_id), None),
            best_scope=self._scope(best),
            account=self.stored.account,
            wall_clock_limit_s=_seconds(study.budget.wall_clock_h),
            gpu_limit_s=_seconds(study.budget.gpu_hours),
            left_s=self._left_s(),
            last_activity_at=self._last_activity_at(running),
            quarantines=tuple(self.stored.quarantines),
            stop_reason=self.stored.record.stop_reason if self.stored.record else "",
            fetched=self.fetched,
            replayed=replayed_text(study),
            waits=tuple(self.stored.waits) if self._standing().goes_on else (),
        )

    def _best(self) -> Choice | None:
        """The finalist that was chosen; before, the best of the search."""
        trials, rungs = self.stored.trials, self.stored.rungs
        objective, select = parse_objectives(self.study.objectives)[0], self.study.search.select
        scores = final_scores(trials, rungs)
        fair = fair_scores(scores, self.study, trials, rungs, recorded_drift(self.study, trials, rungs))
        finals = recorded_finals(self.study, trials, rungs, fair)
        best = select_best(fair, objective, select)
        chosen = None if best is None else best.trial_id
        if finals is not None and finals.chosen is not None:
            chosen = finals.chosen
        return None if chosen is None else select_best({chosen: scores[chosen]}, objective, select)

    def _scope(self, best: Choice | None) -> str:
        if best is None:
            return ""
        return scope_text(best.level, [p.level for p in self.stored.rungs[best.trial_id][-1].score.points])

    def _standing(self) -> Standing:
        record = self.stored.record
        return find_standing(record.status if record else None, self.driver.state, self.fetched)

    @property
    def _life_began(self) -> float:
        """When the study's last driver took it up; a resumed study's trials may be older."""
        lives = self.stored.account.lives
        return lives[-1].began_at if lives else self.now

    def _phase(self) -> Phase | None:
        phases = [t.phase for t in self.stored.trials if not t.state.is_terminal] or [
            t.phase for t in self.stored.trials[-1:]
        ]
        order = list(Phase)
        return max(phases, key=order.index, default=None)

    def _running_trial(self, trial: TrialRecord) -> RunningTrial:
        ended = self.stored.rungs.get(trial.trial_id, ())
        times = [trial.started_at, *(rung.ended_at for rung in ended)]
        written = last_written_at(self.folder.trial_logs(trial.trial_id))
        return RunningTrial(
            trial_id=trial.trial_id,
            phase=trial.phase,
            config=trial.config,
            doing=_doing(trial),
            node=trial.node,
            gpus=trial.gpus,
            accelerator=trial.accelerator,
            rungs_ended=len(ended),
            score=ended[-1].score if ended else None,
            running_s=0.0 if trial.held.since is None else max(0.0, self.now - trial.held.since),
            last_activity_at=max(times) if written is None else max(*times, written),
        )

    def _confirmed(self) -> int:
        return sum(t.state.is_terminal for t in self.stored.trials if t.phase is Phase.CONFIRM)

    def _most_confirmations(self) -> int:
        search = self.study.search
        return most_runs(search.confirm, search.finalists, search.trials)

    def _left_s(self) -> float | None:
        """Only of a study that runs, at its pace in this life: what a reference takes is part of the others' pace."""
        if self._standing() is not Standing.RUNNING:
            return None
        ended = [t for t in self.stored.trials if t.state.is_terminal]
        searched = sum(t.is_counted for t in ended)
        to_go = max(0, self.study.search.trials - searched) + max(0, self._most_confirmations() - self._confirmed())
        here = sum((t.ended_at or 0.0) >= self._life_began and t.phase is not Phase.REFERENCE for t in ended)
        limit_s = _seconds(self.study.budget.wall_clock_h)
        elapsed_s = self.stored.account.last_wall_clock_s
        return left_s(elapsed_s, here, to_go, None if limit_s is None else max(0.0, limit_s - elapsed_s))

    def _last_activity_at(self, running: Sequence[RunningTrial]) -> float | None:
        times = [trial.last_activity_at for trial in running]
        times += [at for t in self.stored.trials for at in (t.started_at, t.ended_at) if at is not None]
        times += [rung.ended_at for rungs in self.stored.rungs.values() for rung in rungs]
        if self.stored.record is not None:
            times += [
                self.stored.record.created_at,
                *([self.stored.record.ended_at] if self.stored.record.ended_at else []),
            ]
        return max(times, default=None)


def _doing(trial: TrialRecord) -> Doing:
    if trial.held.since is None:
        return Doing.WAITING
    if trial.startup_s is not None:
        return Doing.MEASURING
    return Doing.STARTING if trial.launch_id else Doing.PLACED


def _seconds(hours: float | None) -> float | None:
    return None if hours is None else hours * 3600
