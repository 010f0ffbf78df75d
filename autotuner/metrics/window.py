"""Window: the part of a run in which throughput is counted."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from autotuner.metrics.load_level import LoadKind
from autotuner.metrics.request import PointRun, RequestError, RequestRecord


@dataclass(frozen=True)
class Window:
    """Seconds on the run's clock. ``full`` is false where no time had all slots busy, and all of it was taken."""

    start_s: float
    end_s: float
    full: bool = True

    @property
    def length_s(self) -> float:
        return self.end_s - self.start_s


def find_window(run: PointRun) -> Window | None:
    """The window of one run; ``None`` when it holds no measured request.

    Closed loop: from when the last slot began its first measured request to when the first slot is idle for
    good. Warm-up and cancelled requests keep their slot busy. Open loop: from the first to the last scheduled send.
    """
    measured = [r for r in run.records if not r.warmup]
    if not any(r.error is not RequestError.CANCELLED for r in measured):
        return None
    if run.level.kind is LoadKind.CONCURRENCY:
        window = _all_slots_busy(run.records, int(run.level.value))
    else:
        window = Window(min(r.scheduled_s for r in measured), max(r.scheduled_s for r in measured))
    if window.length_s > 0:
        return window
    return Window(min(r.sent_s for r in measured), max(r.end_s for r in measured), full=False)


def _all_slots_busy(records: Sequence[RequestRecord], concurrency: int) -> Window:
    """Slots are not recorded: each request is given to the slot that became free last before it was sent.

    A slot that works takes its next request at once, so the one free for the longest is the one that is done. A
    request sent a little before any end was noted goes to the slot that ends first: there are no more slots.
    """
    busy: list[tuple[float, int]] = []  # heap of (end, slot)
    free: list[int] = []  # the last is the one that became free last
    first_measured: dict[int, float] = {}
    last_end: dict[int, float] = {}
    for record in sorted(records, key=lambda r: (r.sent_s, r.end_s)):
        while busy and (busy[0][0] <= record.sent_s or (not free and len(busy) >= concurrency)):
            free.append(heapq.heappop(busy)[1])
        slot = free.pop() if free else len(last_end)
        heapq.heappush(busy, (record.end_s, slot))
        last_end[slot] = record.end_s
        if not record.warmup:
            first_measured.setdefault(slot, record.sent_s)
    return Window(max(first_measured.values()), min(last_end[slot] for slot in first_measured))
