"""Where a study's time went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from autotuner.results.records import TrialRecord, TrialState


@dataclass(frozen=True)
class TimeSpent:
    """Seconds of one trial; the four parts add up to what it held its place for.

    ``waiting_s`` is reserved time in which nothing loaded and nothing was measured; all time of a failed trial is
    ``failed_s``.
    """

    trial_id: str
    measuring_s: float = 0.0
    loading_s: float = 0.0
    waiting_s: float = 0.0
    failed_s: float = 0.0


def time_spent(trials: Sequence[TrialRecord]) -> tuple[TimeSpent, ...]:
    return tuple(_one(trial) for trial in sorted(trials, key=lambda t: t.trial_id))


def _one(trial: TrialRecord) -> TimeSpent:
    usage = trial.usage
    reserved = max(usage.reserved_s, usage.loading_s + usage.measuring_s)
    if trial.state is TrialState.FAILED:
        return TimeSpent(trial.trial_id, failed_s=reserved)
    waiting = reserved - usage.loading_s - usage.measuring_s
    return TimeSpent(trial.trial_id, usage.measuring_s, usage.loading_s, waiting)
