"""Percentiles, and how sure one can be of them."""

from __future__ import annotations

import math

import numpy as np

from autotuner.metrics.measurement import FloatArray


def percentile(values: FloatArray, percent: float) -> float:
    """The percentile by linear interpolation between order statistics.

    Type 7 of Hyndman & Fan, "Sample quantiles in statistical packages", The American Statistician 50 (1996).
    """
    return float(np.percentile(values, percent, method="linear"))


def percentile_interval(values: FloatArray, percent: float, confidence: float = 0.95) -> tuple[float, float]:
    """Distribution-free interval of a percentile from order statistics.

    The number of values below the true percentile is binomial(n, q), so that [x(l), x(u)] covers it with
    at least ``confidence`` when P(B < l) and P(B ≥ u) are each at most (1 − confidence) / 2: Hahn & Meeker,
    Statistical Intervals (1991), section 5.2; Conover, Practical Nonparametric Statistics (1999), section 3.2.
    An end that the sample is too small for is −inf or inf.
    """
    ordered = np.sort(values)
    n = len(ordered)
    cumulative = _binomial_cdf(n, percent / 100)
    tail = (1 - confidence) / 2
    lower = int(np.searchsorted(cumulative, tail, side="right"))  # largest l with P(B ≤ l − 1) ≤ tail
    upper = int(np.searchsorted(cumulative, 1 - tail, side="left")) + 1  # smallest u with P(B ≤ u − 1) ≥ 1 − tail
    return (
        float(ordered[lower - 1]) if lower >= 1 else -math.inf,
        float(ordered[upper - 1]) if upper <= n else math.inf,
    )


def surely_over(count: int, percent: float, confidence: float = 0.95) -> int | None:
    """Of ``count`` values, how many over a limit put the whole of ``percentile_interval`` over it; ``None``: never."""
    lower = int(np.searchsorted(_binomial_cdf(count, percent / 100), (1 - confidence) / 2, side="right"))
    return count - lower + 1 if lower >= 1 else None


def has_both_ends(count: int, percent: float, confidence: float = 0.95) -> bool:
    """Whether so many values give ``percentile_interval`` two ends: fewer can't tell whether a limit holds."""
    q = percent / 100
    return max(q, 1 - q) ** count <= (1 - confidence) / 2


def _binomial_cdf(n: int, q: float) -> FloatArray:
    """P(B ≤ k) for k = 0 … n. Through logarithms, so that n = 10^6 neither overflows nor vanishes."""
    if q <= 0 or q >= 1:
        raise ValueError(f"a percentile's interval needs 0 < percent < 100, not {100 * q:g}")
    factorial = np.concatenate(([0.0], np.cumsum(np.log(np.arange(1, n + 1, dtype=np.float64)))))
    k = np.arange(n + 1, dtype=np.float64)
    log_pmf = factorial[n] - factorial - factorial[::-1] + k * math.log(q) + (n - k) * math.log1p(-q)
    cumulative: FloatArray = np.minimum(np.cumsum(np.exp(log_pmf)), 1.0)
    return cumulative
