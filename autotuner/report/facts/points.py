"""Point: one load point of a trial as the report draws it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from autotuner.metrics.registry import METRICS
from autotuner.results.records import TrialRecord, TrialState
from autotuner.results.result import StudyResults


class Standing(StrEnum):
    """What a load point is worth; the value is its name in a legend."""

    MEETS = "meets the SLOs"
    VIOLATES = "violates an SLO"
    PARTIAL = "stopped before the last rung"
    INFEASIBLE = "infeasible"


@dataclass(frozen=True)
class Point:
    """A load point after its trial's last ended rung; ``metrics`` holds what could be measured."""

    trial: TrialRecord
    rung: int
    load_kind: str
    level: float
    requests: int
    standing: Standing
    metrics: Mapping[str, float]

    @property
    def label(self) -> str:
        return f"{self.load_kind} {self.level:g}"


def last_points(results: StudyResults) -> tuple[Point, ...]:
    """The load points of every trial's last ended rung, confirmations left out."""
    trials = {t.trial_id: t for t in results.trial_records if t.phase.explores}
    rows = [{str(k): v for k, v in row.items()} for row in results.measurements.to_dict("records")]
    last: dict[tuple[str, str, float], dict[str, Any]] = {}
    for row in rows:
        key = (str(row["trial_id"]), str(row["load_kind"]), float(row["level"]))
        if key[0] in trials and (key not in last or row["rung"] > last[key]["rung"]):
            last[key] = row
    return tuple(_point(trials[key[0]], row) for key, row in sorted(last.items(), key=lambda i: i[0]))


def _point(trial: TrialRecord, row: Mapping[str, Any]) -> Point:
    metrics = {m.column: float(row[m.column]) for m in METRICS if _is_number(row.get(m.column))}
    return Point(
        trial=trial,
        rung=int(row["rung"]),
        load_kind=str(row["load_kind"]),
        level=float(row["level"]),
        requests=int(row["requests"]),
        standing=_standing(row, trial),
        metrics=metrics,
    )


def _standing(row: Mapping[str, Any], trial: TrialRecord) -> Standing:
    if row["feasible"] is None or not bool(row["feasible"]):
        return Standing.INFEASIBLE
    if trial.state is not TrialState.COMPLETED:
        return Standing.PARTIAL
    return Standing.MEETS if bool(row["slo_met"]) else Standing.VIOLATES


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
