"""A difference of logarithms, as the ratio that people read."""

from __future__ import annotations

import math
import sys

from autotuner.metrics.direction import Direction


def as_ratio(mean: float, half_width: float | None, direction: Direction) -> tuple[float, tuple[float, float] | None]:
    """``mean``: of logarithms that were turned so that more is better, with half of its interval where there is one.

    Of the values themselves, and the ratio's interval; both are finite, however large.
    """
    sign = 1.0 if direction is Direction.MAX else -1.0
    if half_width is None:
        return finite_exp(sign * mean), None
    low, high = sorted((sign * (mean - half_width), sign * (mean + half_width)))
    return finite_exp(sign * mean), (finite_exp(low), finite_exp(high))


def finite_exp(x: float) -> float:
    return math.exp(min(x, math.log(sys.float_info.max)))
