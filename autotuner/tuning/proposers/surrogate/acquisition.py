"""What a measurement of a candidate is expected to bring."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erfcx, log_ndtr

from autotuner.tuning.proposers.surrogate.encoding import Vector

_FAR_BELOW = -1e3  # beyond it the difference of two nearly equal numbers is told by its leading term alone


def log_expected_improvement(mean: Vector, deviation: Vector, best: float) -> Vector:
    """log E[max(f − best, 0)] of a normal f: finite however hopeless a candidate is, so that their order stays.

    With z = (mean − best) / deviation it is log(deviation · (φ(z) + z Φ(z))); the sum is rewritten where it would
    cancel (Ament et al.: "Unexpected Improvements to Expected Improvement", NeurIPS 2023, eq. 9).
    """
    z = (mean - best) / deviation
    near = np.maximum(z, -1.0)
    usual = np.log(np.exp(-(near**2) / 2) / math.sqrt(2 * math.pi) + near * np.exp(log_ndtr(near)))
    far = np.minimum(z, -1.0)
    ratio = math.sqrt(math.pi / 2) * erfcx(-far / math.sqrt(2)) * -far  # |z| Φ(z) / φ(z), which tends to 1 - z⁻²
    rest = np.where(far > _FAR_BELOW, 1 - ratio, far**-2)
    tail = -(far**2) / 2 - math.log(2 * math.pi) / 2 + np.log(rest)
    return np.log(deviation) + np.where(z > -1.0, usual, tail)
