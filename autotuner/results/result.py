"""StudyResults: everything a finished or running study has measured, as frames and as objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from autotuner.results.records import RungRecord, TrialRecord
from autotuner.scoring.score import Violation
from autotuner.study.model import Study


@dataclass(frozen=True)
class TrialPoint:
    """One load point of a trial's last rung, as `best`, `baseline` and `closest` name it.

    ``level`` and ``load_kind`` are ``None`` where the objective averages over all levels; ``metrics``
    are then those of the last level.
    """

    trial_id: str
    config: Mapping[str, Any]
    load_kind: str | None
    level: float | None
    metrics: Mapping[str, float]
    value: float | None
    score: float
    feasible: bool
    slo_met: bool
    violations: tuple[Violation, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class StudyResults:
    """The store's content, and what follows from it. Frames are computed once, when first asked for."""

    path: Path
    study: Study
    study_id: str
    status: str  # "running", "completed", "interrupted"
    stop_reason: str
    trial_records: tuple[TrialRecord, ...]
    rung_records: Mapping[str, tuple[RungRecord, ...]]  # by trial, in order; without raw requests

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial: the columns of trials.csv."""
        raise NotImplementedError

    @cached_property
    def rungs(self) -> pd.DataFrame:
        """One row an ended rung: trial_id, phase, rung, score, value, feasible, slo_met, level, load_kind,
        launch_id, ended_at, reserved_s, loading_s, measuring_s, <objective>…, config.<name>…"""
        raise NotImplementedError

    @cached_property
    def measurements(self) -> pd.DataFrame:
        """One row a load point of an ended rung: the columns of measurements.csv."""
        raise NotImplementedError

    @cached_property
    def pareto(self) -> pd.DataFrame:
        """The front over (trial, level): the columns of pareto.csv."""
        raise NotImplementedError

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The content of summary.json."""
        raise NotImplementedError

    @cached_property
    def best(self) -> TrialPoint | None:
        """The best score among those that meet the SLOs, if any does; else among the feasible."""
        raise NotImplementedError

    @cached_property
    def baseline(self) -> TrialPoint | None:
        """The engine's default (or the study's baseline Config), as trial 0 measured it."""
        raise NotImplementedError

    @cached_property
    def closest(self) -> TrialPoint | None:
        """Where nothing meets the SLOs: the point with the least violation."""
        raise NotImplementedError


def load_results(path: str | Path) -> StudyResults:
    """The results in an output folder. Raises FolderError where there are none."""
    raise NotImplementedError


def write_tables(path: str | Path) -> StudyResults:
    """Writes trials.csv, measurements.csv, pareto.csv and summary.json of an output folder anew."""
    raise NotImplementedError
