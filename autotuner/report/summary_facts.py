"""The facts at the head of the report and of the closing table."""

from __future__ import annotations

from dataclasses import dataclass

from autotuner.metrics.registry import find_metric
from autotuner.report.text import duration, number, value_text
from autotuner.report.time_spent import time_spent
from autotuner.results.points import TrialPoint
from autotuner.results.result import StudyResults

_METRICS = ("ttft_p90_ms", "tpot_mean_ms", "output_tokens_per_s", "goodput_per_s", "cost_per_mtok")
_NAMES = {
    "ttft_p90_ms": "TTFT p90 (ms)",
    "tpot_mean_ms": "TPOT mean (ms)",
    "output_tokens_per_s": "output tokens/s",
    "goodput_per_s": "goodput (requests/s)",
    "cost_per_mtok": "cost per million tokens",
}


@dataclass(frozen=True)
class Fact:
    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class ConfigRow:
    """A parameter or metric of the best Config beside the default's; ``differs`` where they are not equal."""

    name: str
    best: str
    default: str
    differs: bool
    is_metric: bool = False


@dataclass(frozen=True)
class TimePart:
    name: str
    seconds: float
    share: float
    text: str


def facts(results: StudyResults) -> tuple[Fact, ...]:
    """What was tried and what it cost."""
    counts = results.summary["trials"]
    held = results.summary["gpu_seconds"]["reserved"]
    unit, seconds = ("GPU time", held) if held else ("CPU time", results.summary["cpu_seconds"]["reserved"])
    tried = f"{counts['completed']} completed, {counts['stopped']} stopped early, {counts['failed']} failed"
    found = [
        Fact("Trials", str(counts["total"]), tried),
        Fact(unit, duration(seconds), "reserved, confirmations included"),
    ]
    best = results.best or results.closest
    if best is not None:
        name = "Best" if results.best is not None else "Closest"
        level = "" if best.level is None else f"at {best.load_kind} {best.level:g}"
        found.insert(0, Fact(f"{name} trial", best.trial_id, level))
        found.insert(1, Fact(_objective_label(results), number(best.value), _default_note(results)))
    return tuple(found)


def config_rows(results: StudyResults) -> tuple[ConfigRow, ...]:
    """Best (or closest) beside default: every parameter, then the metrics of their load points."""
    best, default = results.best or results.closest, results.baseline
    if best is None:
        return ()
    base_config = default.config if default is not None else {}
    names = sorted({*best.config, *base_config})
    rows = [
        ConfigRow(name, _shown(best, name), _shown(default, name), best.config.get(name) != base_config.get(name))
        for name in names
    ]
    metrics = dict.fromkeys((results.objective.column, *_METRICS))
    for column in metrics:
        if column in best.metrics:
            values = number(best.metrics[column]), number(default.metrics.get(column) if default else None)
            rows.append(ConfigRow(_NAMES.get(column, column), *values, differs=False, is_metric=True))
    return tuple(rows)


def time_parts(results: StudyResults) -> tuple[TimePart, ...]:
    """The parts of all seconds that trials held their places, as shares of 1."""
    spent = time_spent(results.trial_records)
    sums = {
        "measuring": sum(s.measuring_s for s in spent),
        "loading": sum(s.loading_s for s in spent),
        "waiting": sum(s.waiting_s for s in spent),
        "failed": sum(s.failed_s for s in spent),
    }
    total = sum(sums.values())
    if total <= 0:
        return ()
    return tuple(TimePart(name, s, s / total, duration(s)) for name, s in sums.items())


def _objective_label(results: StudyResults) -> str:
    metric = find_metric(results.objective.column)
    per_replica = not any(t.gpus for t in results.trial_records)
    label = metric.label if metric else results.objective.column
    return label.replace("per GPU", "per server replica") if per_replica else label


def _default_note(results: StudyResults) -> str:
    metric = find_metric(results.objective.column)
    unit = metric.unit.replace("/GPU", "") if metric else ""
    default = results.baseline
    return unit if default is None or default.value is None else f"{unit}; default {number(default.value)}"


def _shown(point: TrialPoint | None, name: str) -> str:
    if point is None or name not in point.config:
        return "–"
    return value_text(point.config[name])
