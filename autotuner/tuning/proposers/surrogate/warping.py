"""Warp: told values on the scale of those that matter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from autotuner.tuning.proposers.surrogate.encoding import Vector


@dataclass(frozen=True)
class Warp:
    """Keeps the better half as it is; of the rest only the order counts.

    A Config that is ten times slower must not flatten what lies between the good ones. The ranks of the rest become
    quantiles of the normal distribution that the kept ones suggest (the half-rank warping of Song et al.: "The Vizier
    Gaussian Process Bandit Algorithm", 2024).
    """

    values: Vector  # that were told, in order
    warped: Vector

    def __call__(self, told: Vector) -> Vector:
        """Values beyond the worst are taken for the worst, those beyond the best are kept."""
        found: Vector = np.interp(told, self.values, self.warped)
        return np.where(told > self.values[-1], told, found)

    def undone(self, warped: Vector) -> Vector:
        """The told values that would be warped to these; beyond the worst as far as the warped ones are."""
        found: Vector = np.interp(warped, self.warped, self.values)
        found = np.where(warped > self.warped[-1], warped, found)
        return np.where(warped < self.warped[0], self.values[0] + warped - self.warped[0], found)


def fit_warp(told: Vector) -> Warp:
    """From the values of trials at full fidelity; more is better."""
    values = np.unique(told)
    quantiles = (rankdata(told) - 0.5) / len(told)
    normal = np.interp(values, np.sort(told), np.sort(ndtri(quantiles)))
    kept = values >= float(np.median(told))
    worst = int(np.argmax(kept))  # of those that are kept
    spread = _root_mean_square(values[kept] - values[worst]) / (_root_mean_square(normal[kept] - normal[worst]) or 1.0)
    ranked = values[worst] + (spread or 1.0) * (normal - normal[worst])
    return Warp(values, np.where(kept, values, ranked))


def _root_mean_square(values: Vector) -> float:
    return float(np.sqrt(np.mean(values**2)))
