"""How sure the rates of a load point are: batch means over its windows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from autotuner.metrics._amounts import amounts
from autotuner.metrics._columns import RequestColumns
from autotuner.metrics._latency import RunLatencies
from autotuner.metrics.window import Window

BATCHES = 8  # of a window: each lasts about as long as one of eight requests a slot, and is nearly a draw of its own
_T_975 = 2.3646  # Student's t, 97.5 %, BATCHES - 1 degrees of freedom; more windows have more, and are told too unsure


def rate_intervals(
    rates: Mapping[str, float],
    runs: Sequence[tuple[RequestColumns, RunLatencies, Window]],
    limits_ms: Mapping[str, float],
) -> dict[str, tuple[float, float]]:
    """95 % intervals around ``rates``, by column; empty without a window.

    Each window is cut into equal parts whose rates are taken for independent draws, so that their mean has a t
    interval: batch means, Law, Simulation Modeling and Analysis (2015), section 9.5.3. It tells of one launch: how
    much launches of one Config differ it can't.
    """
    found: dict[str, list[float]] = {}
    for columns, latencies, window in runs:
        edges = np.linspace(window.start_s, window.end_s, BATCHES + 1)
        for start_s, end_s in pairwise(map(float, edges)):
            if end_s <= start_s:
                return {}
            part = amounts(columns, latencies, Window(start_s, end_s), limits_ms)
            for column, amount in part.by_column().items():
                found.setdefault(column, []).append(amount / part.seconds)
    return {column: _t_interval(rates[column], parts) for column, parts in found.items() if column in rates}


def _t_interval(mean: float, parts: Sequence[float]) -> tuple[float, float]:
    half = _T_975 * float(np.std(parts, ddof=1)) / math.sqrt(len(parts))
    return max(0.0, mean - half), mean + half
