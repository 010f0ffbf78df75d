"""When requests are due in open loop. Pure and seeded.

Request ``i`` of a level has the same gap before it in every rung, so that the rungs of a level are
consecutive pieces of one arrival process.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from random import Random

# Prompts of a load point that is measured once more have numbers that no plan reaches: a multiple of this higher.
REPEAT_OFFSET = 10_000_000


def constant_gaps(rate_per_s: float, count: int) -> list[float]:
    """Seconds before each of ``count`` requests, evenly spaced."""
    return [1.0 / rate_per_s] * count


def poisson_gaps(rate_per_s: float, first_index: int, count: int, seed: str) -> list[float]:
    """Seconds before requests ``first_index`` … of a Poisson process: exponential gaps.

    Prompts that are far apart (a load point that is measured once more) are of processes of their own.
    """
    process, first = divmod(first_index, REPEAT_OFFSET)
    rng = Random(f"{seed} arrivals {process}" if process else f"{seed} arrivals")  # noqa: S311
    gaps = [rng.expovariate(rate_per_s) for _ in range(first + count)]
    return gaps[first:]


def trace_gaps(timestamps_s: Sequence[float], speed: float, first_index: int, count: int) -> list[float]:
    """Seconds before requests ``first_index`` … of a trace played ``speed`` times as fast.

    A trace that is too short starts again, one mean gap after its end.
    """
    size = len(timestamps_s)
    mean_gap_s = (timestamps_s[-1] - timestamps_s[0]) / (size - 1) if size > 1 else 1.0
    within = [mean_gap_s, *(b - a for a, b in pairwise(timestamps_s))]
    return [within[i % size] / speed for i in range(first_index, first_index + count)]


def due_times(gaps: Sequence[float], start_s: float = 0.0) -> list[float]:
    """When each request is due: the first one at ``start_s`` plus its gap."""
    return list(accumulate(gaps, initial=start_s))[1:]


def warmup_count(rate_per_s: float, requests: int, warmup_s: float = 2.0) -> int:
    """Requests sent before the measured ones: about two seconds' worth, at most a quarter as many as those."""
    return max(1, min(round(rate_per_s * warmup_s), requests // 4))
