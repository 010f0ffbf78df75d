"""Compare: studies side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from autotuner.results.improvement import Improvement
from autotuner.results.result import StudyResults

_METRICS = (
    "output_tokens_per_s",
    "output_tokens_per_s_per_gpu",
    "goodput_per_s",
    "ttft_p90_ms",
    "tpot_mean_ms",
    "e2e_p99_ms",
    "cost_per_mtok",
)


def compare(results: Sequence[StudyResults]) -> pd.DataFrame:
    """One row a study: its best, how it stands to its own default, and what the study cost.

    Scores compare only where objective, workload and SLOs are the same; the metrics always do for the same workload.
    """
    return pd.DataFrame([_row(r) for r in results])


def _row(results: StudyResults) -> dict[str, Any]:
    best, baseline, improvement = results.best, results.baseline, results.improvement
    summary = results.summary
    return {
        "study": results.study.name,
        "path": str(results.path),
        "engine": ", ".join(results.study.engine.names),
        "model": results.study.model.id,
        "status": results.standing.value,
        "objective": results.objective.name,
        "best_trial": best and best.trial_id,
        "best_value": best and best.value,
        "best_level": best and best.level,
        "best_scope": best and best.scope,
        "slo_met": bool(best and best.slo_met),
        "baseline_value": baseline and baseline.value,
        "baseline_scope": baseline and baseline.scope,
        "ratio": improvement and improvement.ratio,
        "ratio_of": improvement and _ratio_of(improvement),
        "recommended": bool(improvement and improvement.recommended),
        "trials": summary["trials"]["total"],
        "failed": summary["trials"]["failed"],
        "gpu_seconds": summary["gpu_seconds"]["reserved"],
        "cpu_seconds": summary["cpu_seconds"]["reserved"],
        "metrics_level": best and best.metrics_level,
        **{column: best.metrics.get(column) if best else None for column in _METRICS},
    }


def _ratio_of(improvement: Improvement) -> str:
    """Which runs the ratio is of, and which load levels."""
    runs = f"{improvement.rounds} confirmation rounds" if improvement.rounds else "the search"
    return f"{runs}, {improvement.scope}"
