"""Names of metrics for people."""

from __future__ import annotations

from autotuner.metrics.registry import find_metric
from autotuner.results.result import StudyResults

_SHORT = {
    "ttft_p90_ms": "TTFT p90 (ms)",
    "tpot_mean_ms": "TPOT mean (ms)",
    "output_tokens_per_s": "output tokens/s",
    "goodput_per_s": "goodput (req/s)",
    "cost_per_mtok": "cost per million tokens",
}


def metric_label(results: StudyResults, column: str) -> str:
    """The metric's name; "per GPU" is per server replica where there are no GPUs."""
    metric = find_metric(column)
    label = metric.label if metric else column
    return label if any(t.gpus for t in results.trial_records) else label.replace("per GPU", "per server replica")


def metric_unit(column: str) -> str:
    """``ms``, ``requests/s``; empty for a metric that has none, or is not known."""
    metric = find_metric(column)
    return metric.unit.replace("/GPU", "") if metric else ""


def short_label(results: StudyResults, column: str) -> str:
    """As ``metric_label``, for the head of a column."""
    return _SHORT.get(column) or metric_label(results, column)
