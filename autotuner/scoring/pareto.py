"""The Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from autotuner.errors import InputError
from autotuner.metrics.direction import Direction
from autotuner.metrics.measurement import FloatArray


def pareto_front(points: ArrayLike, directions: Sequence[Direction]) -> NDArray[np.intp]:
    """Indices, ascending, of the rows of ``points`` (n, k) that no other row dominates. Equal rows are all kept.

    One row dominates another when it is nowhere worse and somewhere better. Raises InputError for NaN and for a
    shape that does not fit ``directions``. Two objectives take one sorted sweep (Kung, Luccio & Preparata, "On
    finding the maxima of a set of vectors", J. ACM 22 (1975)), more take one pass over the rest for each row
    of the front.
    """
    values = np.asarray(points, dtype=np.float64)
    if values.size == 0:
        return np.empty(0, dtype=np.intp)
    if values.ndim != 2 or values.shape[1] != len(directions):
        raise InputError(f"points have shape {values.shape}, {len(directions)} objectives need (n, {len(directions)})")
    if np.isnan(values).any():
        raise InputError("a Pareto front of NaN does not exist: leave out points that lack an objective")
    less_is_better = np.where([direction is Direction.MIN for direction in directions], values, -values)
    unique, inverse = np.unique(less_is_better, axis=0, return_inverse=True)  # rows in lexicographic order
    on_front = _sweep(unique) if unique.shape[1] <= 2 else _cull(unique)
    return np.flatnonzero(on_front[inverse.ravel()])


def _sweep(rows: FloatArray) -> NDArray[np.bool_]:
    """Sorted by the first column, a row is on the front when its second is below all before it."""
    if rows.shape[1] == 1:
        return np.asarray(np.arange(len(rows)) == 0)
    before = np.minimum.accumulate(rows[:, 1])
    on_front = np.ones(len(rows), dtype=np.bool_)
    on_front[1:] = rows[1:, 1] < before[:-1]
    return on_front


def _cull(rows: FloatArray) -> NDArray[np.bool_]:
    """The lexicographically first of the rows left is on the front; what it dominates goes."""
    on_front = np.zeros(len(rows), dtype=np.bool_)
    left = np.arange(len(rows))
    while len(left):
        on_front[left[0]] = True
        left = left[(rows[left] < rows[left[0]]).any(axis=1)]
    return on_front
