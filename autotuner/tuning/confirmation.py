"""Confirmation: rounds in which the best and the default are measured afresh, in turn. Pure."""

from __future__ import annotations

from autotuner.results.records import Phase
from autotuner.tuning.assignment import Assignment


def confirmations(best: Assignment, default: Assignment, rounds: int) -> list[Assignment]:
    """Who goes first alternates, so that a drift favours neither."""
    planned = []
    for number in range(1, rounds + 1):
        for trial in (best, default) if number % 2 else (default, best):
            planned.append(Assignment(f"{trial.trial_id}-c{number}", Phase.CONFIRM, trial.config, rungs=1))
    return planned


def confirmation_round(trial_id: str) -> str:
    """The number of the round that a confirmation belongs to."""
    return trial_id.rpartition("-c")[2]
