"""The trials table of the report: one row a trial, every cell with what it sorts by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autotuner.report.facts.worth import score_text
from autotuner.report.text import number, value_text
from autotuner.results.result import StudyResults
from autotuner.results.scope import scope_text

_METRICS = ("ttft_p90_ms", "tpot_mean_ms", "output_tokens_per_s", "goodput_per_s", "error_rate")
_FIXED = ("trial_id", "phase", "state", "failure", "rung", "score", "score_of", "feasible", "slo_met", "metrics_of")


@dataclass(frozen=True)
class Cell:
    """``order`` is the number that the column sorts by; ``None`` sorts by text."""

    text: str
    order: float | None = None


@dataclass(frozen=True)
class TrialTable:
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


def trial_table(results: StudyResults) -> TrialTable:
    parameters = sorted({name for trial in results.trial_records for name in trial.config})
    configs = {trial.trial_id: trial.config for trial in results.trial_records}
    frame = results.trials
    changed = ("changed_at_start",) if any(trial.asked is not None for trial in results.trial_records) else ()
    metrics = [c for c in dict.fromkeys((results.objective.column, *_METRICS)) if c in frame.columns]
    rows = tuple(
        (
            *(_score(results, row) if c == "score" else _cell(row[c]) for c in (*_FIXED, *changed, *metrics)),
            *_config_cells(configs.get(str(row["trial_id"]), {}), parameters),
        )
        for row in ({**row, **_scopes(results, row)} for row in frame.to_dict("records"))
    )
    return TrialTable((*_FIXED, *changed, *metrics, *parameters), rows)


def _scopes(results: StudyResults, row: Mapping[Any, Any]) -> dict[str, str]:
    """What score and metrics are of."""
    rungs = results.rung_records.get(str(row["trial_id"]), ())
    if not rungs:
        return {"score_of": "", "metrics_of": ""}
    metrics_of = f"{row['metrics_load_kind']} {row['metrics_level']:g}" if row["metrics_load_kind"] else ""
    levels = [m.level for m in rungs[-1].measurements]
    is_scored = bool(row["feasible"]) and bool(levels)
    return {"score_of": scope_text(rungs[-1].score.level, levels) if is_scored else "", "metrics_of": metrics_of}


def _score(results: StudyResults, row: Mapping[Any, Any]) -> Cell:
    """An infeasible score is only a number worse than any: it is not shown. It sorts by the number in any case."""
    rungs = results.rung_records.get(str(row["trial_id"]), ())
    if not rungs or row["feasible"] is None or not bool(row["feasible"]):
        return Cell("")
    return Cell(score_text(rungs[-1].score), float(row["score"]))


def _config_cells(config: Mapping[str, Any], names: Sequence[str]) -> list[Cell]:
    return [_value(config[name]) if name in config else Cell("") for name in names]


def _value(value: Any) -> Cell:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return Cell(value_text(value, 40), float(value) if is_number else None)


def _cell(value: Any) -> Cell:
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return Cell("yes" if value else "no")
    if isinstance(value, int | float):
        return Cell("") if math.isnan(value) else Cell(number(value), float(value))
    return Cell("" if value is None or str(value) in ("<NA>", "nan", "None") else str(value))
