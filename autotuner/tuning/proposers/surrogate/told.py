"""Told: a trial that the searcher was told of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from autotuner.space.config import Config
from autotuner.tuning.proposers.proposer import OutcomeKind
from autotuner.tuning.proposers.shown import Shown

_PAIRS_TO_TRUST_A_RUNG = 3  # trials of which both that rung and the last one are known


@dataclass(frozen=True)
class Told:
    """``values``: of each objective, more is better; empty unless the trial came to its end. ``by_rung``: the first, of
    several objectives ``all_by_rung`` each."""

    config: Config
    kind: OutcomeKind
    values: tuple[float, ...] = ()
    by_rung: Mapping[int, float] = field(default_factory=dict)
    meets: bool = False
    gpu_s: float = 0.0
    shown: Mapping[int, Sequence[Shown]] = field(default_factory=dict)
    start_gpu_s: float = 0.0
    all_by_rung: Mapping[int, tuple[float, ...]] = field(default_factory=dict)

    @property
    def value(self) -> float | None:
        """Of the first objective."""
        return self.values[0] if self.values else None

    @property
    def last(self) -> Sequence[Shown]:
        """What its last rung showed."""
        return self.shown[max(self.shown)] if self.shown else ()


def guess(seen: float, pairs: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """What a trial that was stopped early would have come to, and the variance of that, from what it had ``seen``.

    ``pairs``: of those that came to their end the last value and that of the same rung. A rung of few, cold requests
    is off by much and differently from one Config to the next, and is then hardly listened to. ``None``: too few.
    """
    if len(pairs) < _PAIRS_TO_TRUST_A_RUNG:
        return None
    gained = np.array([last - then for last, then in pairs])
    return seen + float(gained.mean()), float(gained.var(ddof=1)) * (1 + 1 / len(pairs))
