"""When a load point is given up: pure decisions over the requests so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Protocol

FAILING_STREAK = 8  # so many requests in a row, or one for each slot, failed
OPEN_LOOP_S = 3.0  # a queue is not judged sooner: a stall is no trend
GROWING_SHARE = 0.25  # of the arrivals, this share stayed in the queue
GROWING_REQUESTS = 16
DIVERGING_FACTOR = 5.0  # TTFT of the last quarter against the first
DIVERGING_S = 1.0
STILL_RISING = 1.2  # last quarter against the one before; steady divergence makes it 1.4
OVER_ALLOWED = 2.0


class Ended(Protocol):
    """What is asked of an ended request; times in seconds since the point's start."""

    @property
    def warmup(self) -> bool: ...
    @property
    def scheduled_s(self) -> float: ...
    @property
    def sent_s(self) -> float: ...
    @property
    def first_token_s(self) -> float | None: ...
    @property
    def last_token_s(self) -> float | None: ...
    @property
    def end_s(self) -> float: ...
    @property
    def error(self) -> str | None: ...


@dataclass(frozen=True)
class LostAt:
    """A limit on a percentile of ``metric``, ttft or e2e, and how many ``requests`` over it leave no doubt."""

    metric: str
    limit_s: float
    requests: int

    def is_over(self, request: Ended) -> bool:
        """Counted from the send, in open loop too: no more than it was."""
        until_s = request.first_token_s if self.metric == "ttft" else request.last_token_s
        return not request.warmup and until_s is not None and until_s - request.sent_s > self.limit_s


@dataclass(frozen=True)
class Progress:
    """A load point at ``now_s``.

    ``ended`` in order of their ends; ``waiting_since_s`` when those without a first token were due;
    ``total`` measured requests are to be sent; ``slots`` is 0 in open loop, where the last request is due
    at ``planned_s``. ``allowed_s`` is what the point may take by its user's word, wherever else an end is near. Any of
    ``lost_at`` ends it.
    """

    ended: Sequence[Ended]
    waiting_since_s: Sequence[float]
    total: int
    slots: int
    now_s: float
    allowed_s: float
    planned_s: float = 0.0
    lost_at: Sequence[LostAt] = ()


def hopeless(progress: Progress) -> str | None:
    """Why this load point should be given up, or ``None``."""
    if reason := all_failing(progress.ended, progress.slots):
        return reason
    if reason := _lost(progress):
        return reason
    if progress.slots:
        return _far_too_slow(progress)
    if progress.planned_s > OVER_ALLOWED * progress.allowed_s:
        return f"the last request is due at {progress.planned_s:.0f} s, {progress.allowed_s:.0f} s are allowed"
    if progress.now_s < OPEN_LOOP_S:
        return None
    return _queue_growing(progress) or _ttft_diverging(progress)


def all_failing(ended: Sequence[Ended], slots: int) -> str | None:
    """Whether the server has stopped answering well: cheap enough to ask after each request."""
    streak = max(FAILING_STREAK, slots)
    last = ended[-streak:]
    if len(last) < streak or any(request.error is None for request in last):
        return None
    return f"the last {streak} requests all failed ({last[-1].error})"


def _lost(progress: Progress) -> str | None:
    """An SLO that the requests which are yet to come can't mend."""
    for limit in progress.lost_at:
        over = sum(map(limit.is_over, progress.ended))
        if over >= limit.requests:
            return f"{over} requests have a {limit.metric} over {1000 * limit.limit_s:g} ms, which the rest can't mend"
    return None


def _far_too_slow(progress: Progress) -> str | None:
    measured = [request for request in progress.ended if not request.warmup]
    if len(measured) < max(FAILING_STREAK, progress.slots) or progress.now_s < 0.1 * progress.allowed_s:
        return None
    projected_s = progress.now_s * progress.total / len(measured)
    if projected_s <= OVER_ALLOWED * progress.allowed_s:
        return None
    return f"would take {projected_s:.0f} s, {progress.allowed_s:.0f} s are allowed"


def _queue_growing(progress: Progress) -> str | None:
    """In the second half of the time so far, a good part of what arrived got no first token.

    Answers under way are no queue: those build up in any open loop (Little's law), overloaded or not.
    """
    waits = [r.first_token_s - r.scheduled_s for r in progress.ended if r.first_token_s is not None]
    if not waits or progress.now_s < 4.0 * min(waits):
        return None
    half_s = progress.now_s / 2.0
    before, between = _waiting(progress, half_s), _waiting(progress, 1.5 * half_s)
    waiting = len(progress.waiting_since_s)
    arrived = sum(1 for r in progress.ended if r.scheduled_s > half_s)
    arrived += sum(1 for since_s in progress.waiting_since_s if since_s > half_s)
    growth = waiting - before
    if not before < between < waiting or growth < max(GROWING_REQUESTS, GROWING_SHARE * arrived):
        return None
    return f"the queue grows: {waiting} requests wait for their first token, {before} half the time ago"


def _waiting(progress: Progress, at_s: float) -> int:
    """How many requests were due and had no first token at ``at_s``."""
    answered = sum(
        1 for r in progress.ended if r.scheduled_s <= at_s < (r.end_s if r.first_token_s is None else r.first_token_s)
    )
    return answered + sum(1 for since_s in progress.waiting_since_s if since_s <= at_s)


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
    rising = all(a < b for a, b in pairwise(quarters)) and quarters[3] > STILL_RISING * quarters[2]
    if not rising or quarters[3] < max(DIVERGING_FACTOR * quarters[0], quarters[0] + DIVERGING_S):
        return None
    return f"TTFT diverges: {quarters[0]:.2f} s in the first quarter of the requests, {quarters[3]:.2f} s in the last"
