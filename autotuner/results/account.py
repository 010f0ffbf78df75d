"""Account: what a study has spent, in each of its lives and in all, as status, summary, report and terminal tell it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from autotuner.results.records import LifeRecord, TrialRecord


@dataclass(frozen=True)
class LifeSpent:
    """What one life took: its wall clock, and GPUs and CPU cores times the seconds for which trials reserved them."""

    life: int
    began_at: float
    wall_clock_s: float
    gpu_s: float
    cpu_s: float


@dataclass(frozen=True)
class Account:
    """``gpu_s`` and ``cpu_s`` are of all trials, confirmations and checks of nodes included, in all lives."""

    lives: tuple[LifeSpent, ...] = ()
    gpu_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def wall_clock_s(self) -> float:
        """Of all lives together: the time between them does not count."""
        return math.fsum(life.wall_clock_s for life in self.lives)

    @property
    def last_wall_clock_s(self) -> float:
        """Of the last life: what ``budget.wall_clock_h`` bounds."""
        return self.lives[-1].wall_clock_s if self.lives else 0.0

    def as_dict(self) -> dict[str, Any]:
        return {
            "wall_clock_s": self.wall_clock_s,
            "gpu_s": self.gpu_s,
            "cpu_s": self.cpu_s,
            "lives": [asdict(life) for life in self.lives],
        }


def make_account(
    lives: Sequence[LifeRecord],
    trials: Sequence[TrialRecord],
    *,
    now: float | None = None,
    begins_at: float | None = None,
) -> Account:
    """``now``: epoch seconds up to which the last life is counted, where its driver lives; else as far as is known.

    ``begins_at``: when a life began that has left no trace yet, and is to be the last one.
    """
    gpu_s = math.fsum(trial.gpu_seconds for trial in trials)
    cpu_s = math.fsum(trial.cpu_seconds for trial in trials)
    if begins_at is not None:
        lives = [*lives, LifeRecord(len(lives) + 1, begins_at, begins_at, None, gpu_s, cpu_s)]
    spent_by_then = [(life.gpu_s_before, life.cpu_s_before) for life in lives] + [(gpu_s, cpu_s)]
    found = []
    for life, (before, after) in zip(lives, pairwise(spent_by_then), strict=True):
        until = life.ended_at if life.ended_at is not None else life.seen_at
        if now is not None and life.ended_at is None:
            until = max(now, until)
        wall_clock_s = max(0.0, until - life.began_at)
        found.append(LifeSpent(life.life, life.began_at, wall_clock_s, after[0] - before[0], after[1] - before[1]))
    return Account(tuple(found), gpu_s, cpu_s)
