"""When a load point is given up: pure decisions over the requests so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Protocol

FAILING_STREAK = 8  # so many requests in a row, or one for each slot, failed
GROWING_SHARE = 0.25  # of the arrivals, this share stayed in the queue
GROWING_REQUESTS = 16
DIVERGING_FACTOR = 5.0  # TTFT of the last quarter against the first
DIVERGING_S = 1.0
OVER_DEADLINE = 2.0


class Ended(Protocol):
    """What is asked of an ended request; times in seconds since the point's start."""

    @property
    def warmup(self) -> bool: ...
    @property
    def scheduled_s(self) -> float: ...
    @property
    def first_token_s(self) -> float | None: ...
    @property
    def end_s(self) -> float: ...
    @property
    def error(self) -> str | None: ...


@dataclass(frozen=True)
class Progress:
    """A load point at ``now_s``. ``ended`` in order of their ends; ``waiting_since_s`` when those in
    flight were due; ``total`` measured requests are to be sent; ``slots`` is 0 in open loop, where the
    last request is due at ``planned_s``."""

    ended: Sequence[Ended]
    waiting_since_s: Sequence[float]
    total: int
    slots: int
    now_s: float
    deadline_s: float
    planned_s: float = 0.0


def hopeless(progress: Progress) -> str | None:
    """Why this load point should be given up, or ``None``."""
    if reason := _all_failing(progress):
        return reason
    if progress.slots:
        return _far_over_deadline(progress)
    if progress.planned_s > OVER_DEADLINE * progress.deadline_s:
        return f"the last request is due at {progress.planned_s:.0f} s, the deadline is {progress.deadline_s:.0f} s"
    return _queue_growing(progress) or _ttft_diverging(progress)


def _all_failing(progress: Progress) -> str | None:
    streak = max(FAILING_STREAK, progress.slots)
    last = progress.ended[-streak:]
    if len(last) < streak or any(request.error is None for request in last):
        return None
    return f"the last {streak} requests all failed ({last[-1].error})"


def _far_over_deadline(progress: Progress) -> str | None:
    measured = [request for request in progress.ended if not request.warmup]
    if len(measured) < max(FAILING_STREAK, progress.slots) or progress.now_s < 0.1 * progress.deadline_s:
        return None
    projected_s = progress.now_s * progress.total / len(measured)
    if projected_s <= OVER_DEADLINE * progress.deadline_s:
        return None
    return f"would take {projected_s:.0f} s, the deadline is {progress.deadline_s:.0f} s"


def _queue_growing(progress: Progress) -> str | None:
    """In the second half of the time so far, a good part of what arrived was not answered.

    Judged after four times the shortest answer: before that a queue of answers under way builds up
    in any open loop (Little's law), overloaded or not.
    """
    answered = [request.end_s - request.scheduled_s for request in progress.ended if request.error is None]
    if not answered or progress.now_s < 4.0 * min(answered):
        return None
    half_s = progress.now_s / 2.0
    before = sum(1 for r in progress.ended if r.scheduled_s <= half_s < r.end_s)
    before += sum(1 for at in progress.waiting_since_s if at <= half_s)
    arrived = sum(1 for r in progress.ended if r.scheduled_s > half_s)
    arrived += sum(1 for at in progress.waiting_since_s if at > half_s)
    waiting = len(progress.waiting_since_s)
    growth = waiting - before
    if growth < GROWING_REQUESTS or growth < GROWING_SHARE * arrived:
        return None
    return f"the queue grows: {waiting} requests in flight, {before} half the time ago"


def _ttft_diverging(progress: Progress) -> str | None:
    """TTFT rises from quarter to quarter, to many times what it was."""
    seen = [
        (request.scheduled_s, request.first_token_s - request.scheduled_s)
        for request in progress.ended
        if request.first_token_s is not None
    ]
    if len(seen) < 4 * FAILING_STREAK:
        return None
    waits = [wait for _, wait in sorted(seen)]
    size = len(waits) // 4
    quarters = [median(waits[i * size : (i + 1) * size]) for i in range(4)]
    rising = all(a < b for a, b in pairwise(quarters))
    if not rising or quarters[3] < max(DIVERGING_FACTOR * quarters[0], quarters[0] + DIVERGING_S):
        return None
    return f"TTFT diverges: {quarters[0]:.2f} s in the first quarter of the requests, {quarters[3]:.2f} s in the last"
