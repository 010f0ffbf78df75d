"""The ladder of a load search: the loads that it can ask for, so that all Configs are asked the same ones."""

from __future__ import annotations

import math
from functools import lru_cache

from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.study.model import FindMaxLoad

RESOLUTION = 0.05  # of a load: a step to the next one is no larger, but for a step of one request in flight
_DIGITS = 3  # of a rate: 1.05 · 1.1 is 1.155, which nobody wants to read


def ladder(load: FindMaxLoad) -> tuple[LoadLevel, ...]:
    """From ``from`` to ``up_to``: every doubling of ``from``, and between two of them steps of at most 5 %.

    In requests in flight steps are whole, so that one of 1 may be more than 5 %.
    """
    kind = LoadKind(load.find_max)
    return tuple(LoadLevel(kind, value) for value in _values(kind, float(load.first), float(load.up_to)))


@lru_cache(maxsize=16)
def _values(kind: LoadKind, first: float, last: float) -> tuple[float, ...]:
    found = [first]
    doubled = 2 * first
    while found[-1] < last:
        following = min(_step(kind, found[-1]), doubled, last)
        found.append(following)
        if following == doubled:
            doubled = 2 * following
    return tuple(found)


def _step(kind: LoadKind, value: float) -> float:
    if kind is LoadKind.CONCURRENCY:
        return value + max(1, math.floor(RESOLUTION * value))
    unit = 10.0 ** (math.floor(math.log10(value)) - _DIGITS + 1)
    return float(f"{math.floor((1 + RESOLUTION) * value / unit + 1e-9) * unit:.{_DIGITS + 1}g}")
