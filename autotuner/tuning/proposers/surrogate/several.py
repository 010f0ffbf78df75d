"""Several objectives as one, another one for each proposal."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from autotuner.tuning.proposers.surrogate.encoding import Vector
from autotuner.tuning.proposers.surrogate.told import Told

_EVEN = 0.05  # of the sum beside the largest: so that what is better in one and equal in the others counts as better


def drawn_weights(count: int, rng: random.Random) -> Vector:
    """Weights that sum to 1, each such as likely as any other."""
    drawn = np.array([rng.expovariate(1.0) for _ in range(count)])
    weights: Vector = drawn / drawn.sum()
    return weights


def scalarised(told: Sequence[Told], weights: Vector) -> list[Told]:
    """The trials with one value each: minus the weighted distance to what is best in every objective.

    Augmented Chebyshev on values brought to 0 … 1 (Knowles: "ParEGO", IEEE Trans. Evol. Comput. 10 (2006), eq. 2):
    every point of the front, in a dent of it too, is the best by some weights. The range is that of the trials that
    meet the SLOs, of all where none does. Rungs are valued alike, so that a stopped trial tells what it showed.
    """
    ended = [one for one in told if one.values]
    aim = [one for one in ended if one.meets] or ended
    if not aim:
        return [replace(one, by_rung={}, shown={}) for one in told]
    known = np.array([one.values for one in aim])
    best, spread = known.max(0), np.ptp(known, axis=0)
    spread[spread == 0] = 1.0

    def scalar(values: Sequence[float]) -> float:
        short = weights * (best - np.array(values)) / spread
        return -float(short.max() + _EVEN * short.sum())

    return [
        replace(
            one,
            values=(scalar(one.values),) if one.values else (),
            by_rung={rung: scalar(values) for rung, values in one.all_by_rung.items()},
            shown={},
        )
        for one in told
    ]
