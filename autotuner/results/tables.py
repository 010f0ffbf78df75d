"""Frames: the tables of the output folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from autotuner.metrics.load_level import LoadLevel
from autotuner.metrics.measurement import Measurement
from autotuner.metrics.registry import METRICS
from autotuner.results.folder import write_text
from autotuner.results.points import Rungs, final_scores, headline
from autotuner.results.records import RungRecord, TrialRecord, TrialState
from autotuner.scoring.objective import Objective
from autotuner.scoring.pareto import pareto_front
from autotuner.scoring.preference import knee
from autotuner.scoring.score import PointScore
from autotuner.scoring.values import infeasible_score

METRIC_COLUMNS: tuple[str, ...] = tuple(metric.column for metric in METRICS)
TRIAL_COLUMNS: tuple[str, ...] = (
    "trial_id",
    "phase",
    "state",
    "failure",
    "rung",
    "score",
    "feasible",
    "slo_met",
    "load_kind",
    "level",
    "metrics_load_kind",
    "metrics_level",
    "gpus",
    "cpus",
    "replicas",
    "accelerator",
    "node",
    "launch_id",
    "started_at",
    "ended_at",
    "gpu_seconds",
    "cpu_seconds",
    "startup_s",
    "engine_version",
    "changed_at_start",
    "message",
)
RUNG_COLUMNS: tuple[str, ...] = (
    "trial_id",
    "phase",
    "rung",
    "score",
    "value",
    "feasible",
    "slo_met",
    "load_kind",
    "level",
    "launch_id",
    "ended_at",
    "reserved_s",
    "loading_s",
    "measuring_s",
)
MEASUREMENT_COLUMNS: tuple[str, ...] = (
    "trial_id",
    "rung",
    "level",
    "load_kind",
    "requests",
    "errors",
    "feasible",
    "slo_met",
    "unsure",
    "stopped_early",
    "disturbed",
    "tokens_by",
    "notes",
)
PARETO_COLUMNS: tuple[str, ...] = ("trial_id", "level", "load_kind", "slo_met", "knee")


def trials_frame(trials: Sequence[TrialRecord], rungs: Rungs, objective: Objective) -> pd.DataFrame:
    """One row a trial: score and metrics of its last ended rung.

    A trial that failed by its own fault scores as infeasible, whatever its earlier rungs said.
    """
    rows = []
    for trial in trials:
        ended = rungs.get(trial.trial_id, ())
        last = ended[-1] if ended else None
        named = headline(last.measurements, last.score.level) if last else None
        at = {"metrics_load_kind": named and named.level.kind.value, "metrics_level": named and named.level.value}
        rows.append({**_trial_row(trial, last, objective), **at, **_config(trial.config), **_metrics(named)})
    return _frame(rows, (*TRIAL_COLUMNS, *_config_columns(trials), *METRIC_COLUMNS))


def rungs_frame(trials: Sequence[TrialRecord], rungs: Rungs, objectives: Sequence[Objective]) -> pd.DataFrame:
    """One row an ended rung, with the score of each objective under its name."""
    rows = []
    for trial, rung in _ended(trials, rungs):
        score = rung.score
        rows.append(
            {
                "trial_id": trial.trial_id,
                "phase": trial.phase.value,
                "rung": rung.rung,
                "score": score.score,
                "value": score.value,
                "feasible": score.feasible,
                "slo_met": score.slo_met,
                "load_kind": score.level and score.level.kind.value,
                "level": score.level and score.level.value,
                "launch_id": rung.launch_id,
                "ended_at": rung.ended_at,
                "reserved_s": rung.usage.reserved_s,
                "loading_s": rung.usage.loading_s,
                "measuring_s": rung.usage.measuring_s,
                **score.objectives,
                **_config(trial.config),
            }
        )
    return _frame(rows, (*RUNG_COLUMNS, *(o.name for o in objectives), *_config_columns(trials)))


def measurements_frame(trials: Sequence[TrialRecord], rungs: Rungs, objective: Objective) -> pd.DataFrame:
    """One row a load point of an ended rung that had requests for it, cumulative up to that rung."""
    rows = []
    sent: dict[tuple[str, LoadLevel], int] = {}
    for _, rung in _ended(trials, rungs):
        points = {p.level: p for p in rung.score.points if p.objective == objective.name}
        for measurement in rung.measurements:
            key = (rung.trial_id, measurement.level)
            if sent.get(key) == measurement.requests:
                continue  # nothing was sent since
            sent[key] = measurement.requests
            point = points.get(measurement.level)
            rows.append(
                {
                    "trial_id": rung.trial_id,
                    "rung": rung.rung,
                    "level": measurement.level.value,
                    "load_kind": measurement.level.kind.value,
                    "requests": measurement.requests,
                    "errors": measurement.errors,
                    "feasible": point is not None and point.feasible,
                    "slo_met": point is not None and point.slo_met,
                    "unsure": "; ".join(point.unsure) or None if point is not None else None,
                    "stopped_early": measurement.stopped_early,
                    "disturbed": measurement.disturbed or None,
                    "tokens_by": measurement.tokens_by,
                    "notes": "; ".join(measurement.notes) or None,
                    **_metrics(measurement),
                }
            )
    return _frame(rows, (*MEASUREMENT_COLUMNS, *METRIC_COLUMNS))


def pareto_frame(trials: Sequence[TrialRecord], rungs: Rungs, objectives: Sequence[Objective]) -> pd.DataFrame:
    """The front over the load points of final rungs that are feasible in every objective, by the objectives' values.

    The values are the metrics themselves, without SLO penalty: ``slo_met`` stands beside them.
    """
    rows = []
    configs = {t.trial_id: t.config for t in trials}
    for trial_id, score in final_scores(trials, rungs).items():
        for level in dict.fromkeys(p.level for p in score.points):
            points = {p.objective: p for p in score.points if p.level == level}
            values = _front_values(points, objectives)
            if values is None:
                continue
            rows.append(
                {
                    "trial_id": trial_id,
                    "level": level.value,
                    "load_kind": level.kind.value,
                    "slo_met": all(p.slo_met for p in points.values()),
                    **values,
                    **_config(configs[trial_id]),
                }
            )
    names = [o.name for o in objectives]
    values_array = np.array([[row[name] for name in names] for row in rows], dtype=np.float64)
    front = pareto_front(values_array.reshape(-1, len(names)), [o.direction for o in objectives])
    kept = [rows[i] for i in front]
    at_knee = _knee_of(kept, objectives)
    marked = [{**row, "knee": row is at_knee} for row in kept]
    return _frame(marked, (*PARETO_COLUMNS, *names, *_config_columns(trials)))


def _knee_of(front: Sequence[dict[str, Any]], objectives: Sequence[Objective]) -> dict[str, Any] | None:
    """Of what meets the SLOs, if anything does."""
    rows = [row for row in front if row["slo_met"]] or [*front]
    place = knee([[row[o.name] for o in objectives] for row in rows], [o.direction for o in objectives])
    return None if place is None else rows[place]


def write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Whole or not at all; numbers as short as they read back the same, empty where there is no value."""
    write_text(path, frame.to_csv(index=False, lineterminator="\n"))


def _front_values(points: Mapping[str, PointScore], objectives: Sequence[Objective]) -> dict[str, float] | None:
    values = {}
    for objective in objectives:
        point = points.get(objective.name)
        if point is None or not point.feasible or point.value is None:
            return None
        values[objective.name] = point.value
    return values


def _trial_row(trial: TrialRecord, last: RungRecord | None, objective: Objective) -> dict[str, Any]:
    score = last.score if last else None
    blamed = trial.state is TrialState.FAILED and trial.failure is not None and trial.failure.blames_config
    level = score.level if score and not blamed else None
    return {
        "trial_id": trial.trial_id,
        "phase": trial.phase.value,
        "state": trial.state.value,
        "failure": trial.failure and trial.failure.value,
        "rung": last and last.rung,
        "score": infeasible_score(objective.direction) if blamed else score and score.score,
        "feasible": bool(score and score.feasible and not blamed),
        "slo_met": bool(score and score.slo_met and not blamed),
        "load_kind": level and level.kind.value,
        "level": level and level.value,
        "gpus": trial.gpus,
        "cpus": trial.cpus,
        "replicas": trial.replicas,
        "accelerator": trial.accelerator,
        "node": trial.node,
        "launch_id": trial.launch_id,
        "started_at": trial.started_at,
        "ended_at": trial.ended_at,
        "gpu_seconds": trial.gpu_seconds,
        "cpu_seconds": trial.cpu_seconds,
        "startup_s": trial.startup_s,
        "engine_version": trial.engine_version,
        "changed_at_start": trial.changed_at_start or None,
        "message": trial.message,
    }


def _ended(trials: Sequence[TrialRecord], rungs: Rungs) -> Iterator[tuple[TrialRecord, RungRecord]]:
    for trial in trials:
        for rung in rungs.get(trial.trial_id, ()):
            yield trial, rung


def _config_columns(trials: Sequence[TrialRecord]) -> list[str]:
    """Of all Configs, in the order in which the names first appear."""
    return [f"config.{name}" for name in dict.fromkeys(name for t in trials for name in t.config)]


def _config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Maps and lists as JSON, so that a cell holds one value."""
    return {f"config.{k}": json.dumps(v) if isinstance(v, dict | list) else v for k, v in config.items()}


def _metrics(measurement: Measurement | None) -> Mapping[str, float]:
    return measurement.metrics if measurement else {}


def _frame(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Metrics and times are floats; what a Config holds keeps its own type, an absent value is ``None``."""
    data: dict[str, Any] = {}
    for name in columns:
        values = [row.get(name) for row in rows]
        if name.startswith("config."):
            data[name] = pd.Series(values, dtype=object)
        elif name == "rung":
            data[name] = pd.Series(values, dtype="Int64")
        elif name in _TEXT:
            data[name] = pd.Series(values, dtype=object)
        elif name in _FLAGS:
            data[name] = pd.Series(values, dtype=bool)
        elif name in _COUNTS:
            data[name] = pd.Series(values, dtype="int64")
        else:
            data[name] = pd.Series(values, dtype="float64")
    return pd.DataFrame(data, columns=list(columns))


_TEXT = frozenset(
    (
        *("trial_id", "phase", "state", "failure", "load_kind", "metrics_load_kind", "accelerator", "node"),
        *("launch_id", "engine_version", "changed_at_start", "message"),
        *("unsure", "stopped_early", "disturbed", "tokens_by", "notes"),
    )
)
_FLAGS = frozenset(("feasible", "slo_met", "knee"))
_COUNTS = frozenset(("gpus", "cpus", "replicas", "requests", "errors"))
