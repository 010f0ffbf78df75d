"""The facts at the head of the report and of the closing table."""

from __future__ import annotations

from dataclasses import dataclass

from autotuner.metrics.registry import find_metric
from autotuner.report.spending import GPU_TIME, WALL_CLOCK, lives_text, resource
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
class PairRow:
    """A parameter or metric of the best beside the default's; ``differs`` marks a parameter that is not equal."""

    name: str
    best: str
    default: str
    differs: bool = False


@dataclass(frozen=True)
class TimePart:
    name: str
    seconds: float
    share: float
    text: str


def facts(results: StudyResults) -> tuple[Fact, ...]:
    """What was tried and what it cost."""
    counts = results.summary["trials"]
    account = results.account
    resource_name, held_s = resource(account)
    held = "GPUs" if resource_name == GPU_TIME else "cores"
    tried = f"{counts['completed']} completed, {counts['stopped']} stopped early, {counts['failed']} failed"
    found = [
        Fact("Trials", str(counts["total"]), tried),
        Fact(_capitalised(WALL_CLOCK), duration(account.wall_clock_s), lives_text(account)),
        Fact(resource_name, duration(held_s), f"{held} × time reserved, confirmations included"),
    ]
    best = champion(results)
    if best is not None:
        found.insert(0, Fact(f"{champion_name(results).capitalize()} trial", best.trial_id, f"at {_level(best)}"))
        found.insert(
            1, Fact(metric_label(results, results.objective.column), number(best.value), _default_note(results))
        )
    found += [Fact("Node in quarantine", sick.node, sick.reason) for sick in results.quarantines]
    return tuple(found)


def champion(results: StudyResults) -> TrialPoint | None:
    """What the report puts beside the default: the best, or, where that misses the SLOs, what came closest."""
    best = results.best
    if best is not None and (best.slo_met or results.study.search.select == "score"):
        return best
    return results.closest or best


def champion_name(results: StudyResults) -> str:
    """``best`` or ``closest``: which of the two the champion is."""
    found = champion(results)
    is_best = found is not None and (found.slo_met or results.study.search.select == "score")
    return "best" if is_best else "closest"


def config_rows(results: StudyResults) -> tuple[PairRow, ...]:
    """Every parameter of the best (or closest) beside the default's."""
    best, default = champion(results), results.baseline
    if best is None:
        return ()
    base_config = default.config if default is not None else {}
    return tuple(
        PairRow(name, _shown(best, name), _shown(default, name), best.config.get(name) != base_config.get(name))
        for name in sorted({*best.config, *base_config})
    )


def metric_rows(results: StudyResults) -> tuple[PairRow, ...]:
    """The metrics of both at the load points that count for them."""
    best, default = champion(results), results.baseline
    if best is None:
        return ()
    rows = [PairRow("load point", _level(best), _level(default))]
    for column in dict.fromkeys((results.objective.column, *_METRICS)):
        if column in best.metrics:
            values = number(best.metrics[column]), number(default.metrics.get(column) if default else None)
            rows.append(PairRow(_NAMES.get(column) or metric_label(results, column), *values))
    return tuple(rows)


def time_parts(results: StudyResults) -> tuple[TimePart, ...]:
    """The parts of all seconds that trials held their places, as shares of 1."""
    spent = time_spent(results.all_records)
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


def metric_label(results: StudyResults, column: str) -> str:
    """The metric's name for people; "per GPU" is per server replica where there are no GPUs."""
    metric = find_metric(column)
    label = metric.label if metric else column
    return label if any(t.gpus for t in results.trial_records) else label.replace("per GPU", "per server replica")


def _capitalised(text: str) -> str:
    return text[:1].upper() + text[1:]


def _level(point: TrialPoint | None) -> str:
    if point is None:
        return "–"
    # A score over all levels has no level of its own; the figures shown are then those of the highest.
    return "highest level" if point.level is None else f"{point.load_kind} {point.level:g}"


def _default_note(results: StudyResults) -> str:
    metric = find_metric(results.objective.column)
    unit = metric.unit.replace("/GPU", "") if metric else ""
    default = results.baseline
    return unit if default is None or default.value is None else f"{unit}; default {number(default.value)}"


def _shown(point: TrialPoint | None, name: str) -> str:
    if point is None or name not in point.config:
        return "–"
    return value_text(point.config[name])
