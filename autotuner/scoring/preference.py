"""Preference: one point of a Pareto front, by its shape, or by what somebody says that each objective is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from autotuner.errors import InputError
from autotuner.metrics.direction import Direction
from autotuner.nearest import nearest_word

_LEAST_VALUE = 1e-20  # of which a logarithm is taken: a latency of 0 is no infinite good
_RULE = "objectives of the study and how much a per cent of each is worth, as throughput=2,ttft=1"


def knee(points: ArrayLike, directions: Sequence[Direction]) -> int | None:
    """The row of a front (n, k) beyond which any gain costs more than it brings; ``None`` where there is no such row.

    It is the one farthest out from the plane through the best of each objective, every objective scaled to the front's
    own extent (Das, "On characterizing the 'knee' of the Pareto curve", Structural Optimization 18 (1999)). A front
    of which no row lies beyond that plane has none.
    """
    values = np.asarray(points, dtype=np.float64)
    if len(values) == 0 or len(directions) < 2:
        return None
    good = values * [1.0 if direction is Direction.MAX else -1.0 for direction in directions]
    extent = np.ptp(good, axis=0)
    if not extent.all():
        return None
    reached = ((good - good.min(axis=0)) / extent).sum(axis=1)
    farthest = int(np.argmax(reached))
    ends = reached[np.argmax(good, axis=0)]  # in two objectives each is 1
    return farthest if reached[farthest] > ends.max() + 1e-9 else None


def parse_preference(text: str, names: Sequence[str]) -> dict[str, float]:
    """``throughput=2,ttft=1`` → weight by objective; one that is not named weighs nothing.

    A name may be short where one objective alone begins with it, up to a ``_``. Raises InputError.
    """
    if len(names) < 2:
        raise _refused(text, "a study of several objectives: of one the best is the best")
    weights = dict.fromkeys(names, 0.0)
    for part in text.split(","):
        said, equals, number = part.partition("=")
        name = _meant(text, said.strip(), names)
        weight = _weight(text, number) if equals else 1.0
        if weights[name]:
            raise _refused(text, f"each objective once; {name} is said twice")
        weights[name] = weight
    if not any(weights.values()):
        raise _refused(text, "a weight above 0")
    return weights


def preferred(points: ArrayLike, directions: Sequence[Direction], weights: Sequence[float]) -> int:
    """The row of ``points`` (n ≥ 1, k) that is worth the most.

    Worth is Σ weight × log(value), turned where less is better: with weights 2 and 1 a per cent of the first is worth
    two of the second, whatever their units. Of equals the first.
    """
    logs = np.log(np.maximum(np.asarray(points, dtype=np.float64), _LEAST_VALUE))
    signs = [1.0 if direction is Direction.MAX else -1.0 for direction in directions]
    return int(np.argmax(logs @ (np.asarray(signs) * np.asarray(weights, dtype=np.float64))))


def _meant(text: str, said: str, names: Sequence[str]) -> str:
    if said in names:
        return said
    begun = [name for name in names if name.startswith(f"{said}_")]
    if len(begun) == 1:
        return begun[0]
    rule = f"one of {', '.join(begun or names)}"
    nearest = nearest_word(said, begun or names, cutoff=0.0)
    raise InputError(f"prefer: {said!r} is not {rule}", key="prefer", value=text, rule=rule, nearest=nearest)


def _weight(text: str, number: str) -> float:
    try:
        weight = float(number)
    except ValueError:
        raise _refused(text, _RULE) from None
    if not (math.isfinite(weight) and weight >= 0):
        raise _refused(text, "weights of 0 and above")
    return weight


def _refused(text: str, rule: str) -> InputError:
    return InputError(f"prefer: {text!r}: it takes {rule}", key="prefer", value=text, rule=rule)


def weights_text(weights: Mapping[str, float]) -> str:
    """As it is written."""
    return ",".join(f"{name}={weight:g}" for name, weight in weights.items() if weight)
