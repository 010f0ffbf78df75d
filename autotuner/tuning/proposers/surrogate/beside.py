"""Beside: what is believed of a quantity at one point and at others, together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from autotuner.tuning.proposers.surrogate.encoding import Matrix, Vector


@dataclass(frozen=True)
class Beside:
    """Means and standard deviations at the one point (a value a level) and at the others (points × levels), and the
    correlation of each of these with the one.

    Much of what is not known of two neighbours is the same for both: their difference is known better than either.
    """

    mean: Vector
    deviation: Vector
    other_mean: Matrix
    other_deviation: Matrix
    correlation: Matrix

    def draw(self, place: int, count: int, rng: np.random.Generator) -> tuple[Matrix, Matrix]:
        """What the one and the other at ``place`` may be: draws × levels."""
        shared, own = rng.standard_normal((2, count, len(self.mean)))
        tied = self.correlation[place]
        other = tied * shared + np.sqrt(1 - tied**2) * own
        return self.mean + self.deviation * shared, self.other_mean[place] + self.other_deviation[place] * other
