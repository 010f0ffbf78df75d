"""StudyResults: everything a finished or running study has measured, as frames and as objects."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from autotuner.errors import FolderError
from autotuner.results import tables
from autotuner.results.account import Account, make_account
from autotuner.results.default_trial import compared_default
from autotuner.results.disturbed import Disturbed, find_disturbed
from autotuner.results.driver import DriverState, find_driver
from autotuner.results.fetched import FetchedCopy, fetched_copy
from autotuner.results.finals import Finals
from autotuner.results.folder import OutputFolder, write_text
from autotuner.results.improvement import Improvement, find_improvement
from autotuner.results.noise import MetricNoise, find_noise, watched_columns
from autotuner.results.noise.drift import Drift
from autotuner.results.noise.recorded_drift import fair_scores, recorded_drift
from autotuner.results.noise.told_shift import ToldShift, told_shifts
from autotuner.results.points import TrialPoint, closest_point, final_scores, ranked_points, trial_point
from autotuner.results.recorded_finals import chosen_first, recorded_finals
from autotuner.results.records import (
    FailureRecord,
    LifeRecord,
    Phase,
    QuarantineRecord,
    RungRecord,
    StudyStatus,
    TrialRecord,
)
from autotuner.results.replayed import replayed_from
from autotuner.results.savings import Measured, Saving, find_savings
from autotuner.results.standing import Standing, find_standing
from autotuner.results.storage.store import Store
from autotuner.results.summary import (
    improvement_dict,
    not_counted,
    pareto_rows,
    point_dict,
    spent_seconds,
    trial_counts,
)
from autotuner.results.uses import spent_by_use
from autotuner.results.worth import FlagBeliefs, FlagWorth, PutBackTrial, find_flag_worths, find_put_back, kept_beliefs
from autotuner.scoring.objective import Objective, parse_objectives
from autotuner.scoring.score import Score
from autotuner.study.model import Study

__all__ = ["StudyResults", "TrialPoint", "load_results", "write_tables"]


@dataclass(frozen=True)
class StudyResults:
    """The store's content, and what follows from it. Frames are computed once, when first asked for."""

    path: Path
    study: Study
    study_id: str
    status: StudyStatus
    stop_reason: str
    trial_records: tuple[TrialRecord, ...]
    rung_records: Mapping[str, tuple[RungRecord, ...]]  # by trial, in order; without raw requests
    failures: tuple[FailureRecord, ...] = ()
    quarantines: tuple[QuarantineRecord, ...] = ()
    node_checks: tuple[TrialRecord, ...] = ()  # in no table
    lives: tuple[LifeRecord, ...] = ()
    driver: DriverState = DriverState.ALIVE  # asked where it has not ended
    fetched: FetchedCopy | None = None
    flag_beliefs: FlagBeliefs | None = None

    @property
    def folder(self) -> OutputFolder:
        return OutputFolder(self.path)

    @cached_property
    def objectives(self) -> tuple[Objective, ...]:
        """Those of the study; the first one scores."""
        return parse_objectives(self.study.objectives)

    @property
    def objective(self) -> Objective:
        return self.objectives[0]

    @property
    def all_records(self) -> tuple[TrialRecord, ...]:
        """What took time: the checks of nodes as well."""
        return (*self.trial_records, *self.node_checks)

    @property
    def standing(self) -> Standing:
        """How it stands, in the word that ``status`` has for it."""
        return find_standing(self.status, self.driver, self.fetched)

    @property
    def is_cut_by_budget(self) -> bool:
        """Whether it ended with something yet to be done, for which its budget had no room."""
        return self.status is StudyStatus.COMPLETED and self.stop_reason.startswith("budget:")

    @cached_property
    def account(self) -> Account:
        """What was spent, in each life of the study and in all."""
        return make_account(self.lives, self.all_records)

    @cached_property
    def savings(self) -> tuple[Saving, ...]:
        """What each lever saved, estimated."""
        return find_savings(
            Measured(
                self.study,
                self.trial_records,
                self.rung_records,
                is_cut_by_budget=self.is_cut_by_budget,
                has_ended=self.status is StudyStatus.COMPLETED,
                stop_reason=self.stop_reason,
            )
        )

    @cached_property
    def disturbed(self) -> Disturbed:
        """Which load points others had a part in."""
        return find_disturbed(self.trial_records, self.rung_records)

    @cached_property
    def noise(self) -> tuple[MetricNoise, ...]:
        """By how much metrics differ from run to run of one Config."""
        columns, drifted = watched_columns(self.study), bool(self.drift.shifts)
        return find_noise(columns, self.trial_records, self.rung_records, drifted=drifted)

    @cached_property
    def drift(self) -> Drift:
        """What the default showed each time that it was measured again beside the search."""
        return recorded_drift(self.study, self.trial_records, self.rung_records)

    @cached_property
    def _fair(self) -> dict[str, Score]:
        """Last scores of baseline and search, as if the machine had stayed as it was at first."""
        scores = final_scores(self.trial_records, self.rung_records)
        return fair_scores(scores, self.study, self.trial_records, self.rung_records, self.drift)

    @property
    def shifts(self) -> tuple[ToldShift, ...]:
        """When the default came to be faster or slower by more than chance."""
        return told_shifts(self.drift, self.objective)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial: the columns of trials.csv."""
        return tables.trials_frame(self.trial_records, self.rung_records, self.objective)

    @cached_property
    def rungs(self) -> pd.DataFrame:
        """One row an ended rung: trial_id, phase, rung, score, value, feasible, slo_met, load_kind, level,
        launch_id, ended_at, reserved_s, loading_s, measuring_s, <objective>…, config.<name>…"""
        return tables.rungs_frame(self.trial_records, self.rung_records, self.objectives)

    @cached_property
    def measurements(self) -> pd.DataFrame:
        """One row a load point of an ended rung: the columns of measurements.csv."""
        return tables.measurements_frame(self.trial_records, self.rung_records, self.objective)

    @cached_property
    def pareto(self) -> pd.DataFrame:
        """The front over (trial, level): the columns of pareto.csv."""
        return tables.pareto_frame(self.trial_records, self.rung_records, self.objectives)

    def ranked(self) -> list[TrialPoint]:
        """Every feasible completed trial with its best load point, the best first; confirmations left out.

        The best is the finalist that was chosen, where there was a choice; the others stand as the search has them.
        """
        ranked = ranked_points(self.study, self.trial_records, self.rung_records, self.objective, self._fair)
        return chosen_first(ranked, self.finals)

    def point_of(self, trial_id: str) -> TrialPoint | None:
        """A trial's best load point in its last ended rung, feasible or not; ``None`` for an unknown trial."""
        trial = next((t for t in self.trial_records if t.trial_id == trial_id), None)
        return None if trial is None else trial_point(self.study, trial, self.rung_records, self.objective)

    @cached_property
    def finals(self) -> Finals | None:
        """The fresh runs of finalists and default; ``None`` under the earlier rule, and where nothing is confirmed."""
        return recorded_finals(self.study, self.trial_records, self.rung_records, self._fair)

    @cached_property
    def best(self) -> TrialPoint | None:
        """The finalist that was chosen; before, the best score among those that meet the SLOs, if any does; else
        among the feasible."""
        return next(iter(self.ranked()), None)

    @cached_property
    def baseline(self) -> TrialPoint | None:
        """The default (or the study's baseline Config) that the best is compared with; ``None``: not begun."""
        trial = compared_default([t for t in self.trial_records if t.phase is Phase.BASELINE])
        return None if trial is None else trial_point(self.study, trial, self.rung_records, self.objective)

    @cached_property
    def closest(self) -> TrialPoint | None:
        """Where nothing meets the SLOs: the point with the least violation."""
        if self.best is not None and self.best.slo_met:
            return None
        return closest_point(self.trial_records, self.rung_records, self.objective)

    @cached_property
    def improvement(self) -> Improvement | None:
        """Best against default, by the confirmation rounds; ``None`` without a best."""
        return find_improvement(
            self.study,
            self.trial_records,
            self.rung_records,
            self.objective,
            self.best,
            self.baseline,
            self._why_no_more,
            self.finals,
        )

    @cached_property
    def flag_worths(self) -> tuple[FlagWorth, ...]:
        """What each setting of the best that differs from the default's is worth, by name."""
        direction = self.objective.direction
        given = self.trial_records, self.finals, self.flag_beliefs, direction
        return find_flag_worths(self.study, self.best, self.baseline, *given)

    @cached_property
    def put_back(self) -> tuple[PutBackTrial, ...]:
        """Which trials are another one with settings put back to the default."""
        return find_put_back(self.study, self.ranked(), self.baseline, self.trial_records, self.finals)

    @property
    def _why_no_more(self) -> str:
        match self.status:
            case StudyStatus.RUNNING:
                return "the study has not come to its end"
            case StudyStatus.INTERRUPTED:
                return "the study was interrupted"
            case StudyStatus.COMPLETED:
                return f"the study ended ({self.stop_reason})"

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The content of summary.json."""
        return {
            "name": self.study.name,
            "study_id": self.study_id,
            "status": self.standing.value,
            "replayed_from": replayed_from(self.study),
            "objective": self.objective.name,
            "objectives": {o.name: {"metric": o.column, "direction": o.direction.value} for o in self.objectives},
            "baseline": point_dict(self.baseline),
            "best": point_dict(self.best),
            "improvement": improvement_dict(self.improvement),
            "put_back": [asdict(trial) for trial in self.put_back],
            "flags": [asdict(flag) for flag in self.flag_worths],
            "trials": trial_counts(self.trial_records),
            "trials_not_counted": not_counted(self.trial_records),
            "spent": self.account.as_dict(),
            "gpu_seconds": spent_seconds(self.all_records, "gpus"),
            "cpu_seconds": spent_seconds(self.all_records, "cpus"),
            "gpu_seconds_by_use": spent_by_use(self.all_records, "gpus"),
            "cpu_seconds_by_use": spent_by_use(self.all_records, "cpus"),
            "saved": [asdict(saving) for saving in self.savings],
            "disturbed": self.disturbed.as_dict(),
            "noise": [asdict(noise) for noise in self.noise],
            "shifts": [asdict(shift) for shift in self.shifts],
            "pareto": pareto_rows(self.pareto, self.objectives),
            "closest": point_dict(self.closest),
            "stop_reason": self.stop_reason,
            "quarantined": [asdict(quarantine) for quarantine in self.quarantines],
        }


def load_results(path: str | Path, *, database: str | None = None) -> StudyResults:
    """The results of an output folder; ``database`` is the URL where they are not in its results.sqlite.

    Raises FolderError where there are none.
    """
    folder = OutputFolder(Path(path))
    study = folder.load_study()
    if database is None and not folder.database.is_file():
        raise FolderError(f"{folder.path} holds no results yet: there is no results.sqlite")
    with Store(database or folder.database_url, folder.requests) as store, _uncollected():
        record = store.read_study(folder.study_id)
        rungs: dict[str, list[RungRecord]] = {}
        for rung in store.rungs():
            rungs.setdefault(rung.trial_id, []).append(rung)
        trials, lives = store.trials(), store.lives()
        return StudyResults(
            path=folder.path,
            study=study,
            study_id=record.study_id,
            status=record.status,
            stop_reason=record.stop_reason,
            trial_records=tuple(trial for trial in trials if trial.phase is not Phase.NODE_CHECK),
            rung_records={trial_id: tuple(ended) for trial_id, ended in rungs.items()},
            failures=tuple(store.failures()),
            quarantines=tuple(store.quarantines()),
            node_checks=tuple(trial for trial in trials if trial.phase is Phase.NODE_CHECK),
            lives=tuple(lives),
            driver=find_driver(folder).state,
            fetched=fetched_copy(folder),
            flag_beliefs=kept_beliefs(folder),
        )


@contextlib.contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage is looked for meanwhile: all that is read stays, and looking through it again and again would take
    as long as reading it."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def write_tables(path: str | Path, *, database: str | None = None) -> StudyResults:
    """Writes trials.csv, measurements.csv, pareto.csv and summary.json of an output folder anew."""
    results = load_results(path, database=database)
    folder = results.folder
    tables.write_csv(results.trials, folder.trials_csv)
    tables.write_csv(results.measurements, folder.measurements_csv)
    tables.write_csv(results.pareto, folder.pareto_csv)
    text = json.dumps(results.summary, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(folder.summary_json, text + "\n")
    return results
