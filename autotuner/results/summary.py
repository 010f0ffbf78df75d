"""The content of summary.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pandas as pd

from autotuner.results.improvement import Improvement
from autotuner.results.points import TrialPoint
from autotuner.results.records import TrialRecord, TrialState
from autotuner.scoring.objective import Objective


def trial_counts(trials: Sequence[TrialRecord]) -> dict[str, int]:
    """total = completed + stopped + failed; the baseline is in, confirmations are not."""
    states = [t.state for t in trials if t.phase.explores]
    counts = {state.value: states.count(state) for state in TrialState}
    running = counts.pop(TrialState.RUNNING.value)
    return {"total": len(states) - running, **counts, "running": running}


def not_counted(trials: Sequence[TrialRecord]) -> int:
    """How many of those that failed use up none of ``search.trials``."""
    return sum(t.phase.explores and not t.is_counted for t in trials)


def spent_seconds(trials: Sequence[TrialRecord], unit: str) -> dict[str, float]:
    """Seconds times ``gpus`` or ``cpus``, confirmations included.

    ``failed`` is that part of ``reserved`` that failed trials held.
    """
    spent = dict.fromkeys(("reserved", "loading", "measuring", "failed"), 0.0)
    for trial in trials:
        count: int = getattr(trial.held, unit)
        spent["reserved"] += count * trial.usage.reserved_s
        spent["loading"] += count * trial.usage.loading_s
        spent["measuring"] += count * trial.usage.measuring_s
        spent["failed"] += count * trial.usage.reserved_s * (trial.state is TrialState.FAILED)
    return spent


def point_dict(point: TrialPoint | None) -> dict[str, Any] | None:
    if point is None:
        return None
    return asdict(point)


def improvement_dict(improvement: Improvement | None) -> dict[str, Any] | None:
    if improvement is None:
        return None
    found = asdict(improvement)
    found["ci95"] = list(improvement.ci95) if improvement.ci95 else None
    return found


def pareto_rows(pareto: pd.DataFrame, objectives: Sequence[Objective]) -> list[dict[str, Any]]:
    columns = ["trial_id", "level", "load_kind", "slo_met", "knee", *(o.name for o in objectives)]
    return [dict(zip(columns, row, strict=True)) for row in pareto[columns].astype(object).to_numpy().tolist()]
