"""Merit: the one order of Configs, and the number that searchers and trial schedulers are told of it.

    nothing measured  <  infeasible  <  violating  <  meeting the SLOs

What meets the SLOs ranks by its score. What does not ranks by how far it is over them, and not by its score: with an
SLO far away a penalised score is next to 0 (or at its cap) for all alike, and a search that sees only that is blind.
``select: score`` asks for the order of scores instead; it is that of their logarithms, which neither vanish nor end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np

from autotuner.metrics.direction import Direction

Select = Literal["slo_met", "score"]

_LEAST_VALUE, _MOST_VALUE = 1e-20, 1e29
_SCALE = {Direction.MAX: math.log(1e3), Direction.MIN: math.log(1e6)}  # usual values are then well above 0
_MOST_EXCESS = 40.0  # of log1p(excess): e^40 times over an SLO and beyond are told alike
_VIOLATING_FROM, _INFEASIBLE_FROM, _NOTHING = -1.0, -42.0, -83.0


class Grade(IntEnum):
    NOTHING = 0  # failed, or nothing was measured
    INFEASIBLE = 1
    VIOLATING = 2
    MEETING = 3


@dataclass(frozen=True, order=True)
class Merit:
    """Greater is better, whichever way the objective points.

    ``nearness`` is 0 where no SLO is violated, else minus the excess: log(1 + P) of the penalty P, uncapped.
    ``good`` is the logarithm of the value, turned so that more is better.
    """

    grade: Grade = Grade.NOTHING
    nearness: float = 0.0
    good: float = 0.0

    @property
    def told(self) -> float:
        """A finite number that has this order, on a scale that a Gaussian process can take: more is better."""
        match self.grade:
            case Grade.MEETING:
                return max(self.good, 0.0) - _squeezed(-self.good)
            case Grade.VIOLATING:
                return _VIOLATING_FROM - _squeezed(-self.nearness)
            case Grade.INFEASIBLE:
                return _INFEASIBLE_FROM - _squeezed(-self.nearness)
            case _:
                return _NOTHING

    @property
    def infeasibility(self) -> float:
        """0 where it is feasible, else more the further it is from that."""
        return 0.0 if self.grade >= Grade.VIOLATING else 1 + _INFEASIBLE_FROM - self.told


def told_value(merit: Merit, direction: Direction) -> float:
    """What a sampler of that direction is told."""
    return merit.told if direction is Direction.MAX else -merit.told


def make_merit(
    points: Sequence[tuple[float | None, float]], direction: Direction, select: Select, *, feasible: bool
) -> Merit:
    """The merit of some load points together, from the value and the excess of each.

    Of several the formula's mean is taken: of the values, times or over 1 + P.
    """
    excess = summed_excess(excess for _, excess in points)
    if not points:
        return Merit()
    if not feasible:
        return Merit(Grade.INFEASIBLE, -excess)
    if select == "score":
        return Merit(Grade.MEETING, 0.0, _good(points, direction))
    good = _softplus(_good([(value, 0.0) for value, _ in points], direction))
    return Merit(Grade.MEETING, 0.0, good) if not excess else Merit(Grade.VIOLATING, -excess, good)


def summed_excess(excesses: Iterable[float]) -> float:
    """log(1 + ΣP) from each log(1 + P), however large."""
    each = list(excesses)
    if not each:
        return 0.0
    most = max(each)
    return most + math.log(math.fsum(math.exp(e - most) - math.exp(-most) for e in each) + math.exp(-most))


def _good(points: Sequence[tuple[float | None, float]], direction: Direction) -> float:
    """The logarithm of the mean penalised value, scaled, and turned so that more is better."""
    sign = 1.0 if direction is Direction.MAX else -1.0
    logs = [_log(value) - sign * excess for value, excess in points]
    mean = float(np.logaddexp.reduce(logs)) - math.log(len(logs))
    return _SCALE[direction] + sign * mean


def _log(value: float | None) -> float:
    return math.log(_LEAST_VALUE if value is None else min(max(value, _LEAST_VALUE), _MOST_VALUE))


def _softplus(x: float) -> float:
    """log(1 + e^x): x where it is large, above 0 where it is not."""
    return float(np.logaddexp(0.0, x))


def _squeezed(excess: float) -> float:
    return min(math.log1p(max(excess, 0.0)), _MOST_EXCESS)
