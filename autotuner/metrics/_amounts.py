"""What a run's window holds: tokens and requests, those at its edges in part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from autotuner.metrics._columns import BoolArray, RequestColumns
from autotuner.metrics._latency import RunLatencies
from autotuner.metrics.measurement import FloatArray
from autotuner.metrics.window import Window


@dataclass(frozen=True)
class Amounts:
    """Sums over windows; they add up over runs. ``prompt_tokens`` is NaN where the server does not tell them."""

    seconds: float = 0.0
    output_tokens: float = 0.0
    prompt_tokens: float = 0.0
    requests: float = 0.0
    good_requests: float = 0.0

    def by_column(self) -> dict[str, float]:
        """Each under the name of its rate."""
        return {
            "output_tokens_per_s": self.output_tokens,
            "total_tokens_per_s": self.output_tokens + self.prompt_tokens,
            "requests_per_s": self.requests,
            "goodput_per_s": self.good_requests,
        }

    def __add__(self, other: Amounts) -> Amounts:
        return Amounts(
            self.seconds + other.seconds,
            self.output_tokens + other.output_tokens,
            self.prompt_tokens + other.prompt_tokens,
            self.requests + other.requests,
            self.good_requests + other.good_requests,
        )


def amounts(
    columns: RequestColumns, latencies: RunLatencies, window: Window, limits_ms: Mapping[str, float]
) -> Amounts:
    """Only requests that ended well count.

    Output tokens fall in the window as their chunks do, prompt tokens as the time from send to first token does,
    requests as the time from send to last token does. A warm-up request that reaches into the window (open loop)
    counts there: it stands for those that reach out of it at the end.
    """
    ok = columns.ok
    life = _share(columns.sent, columns.last, window)
    prefill = _share(columns.sent, columns.first, window)
    return Amounts(
        seconds=window.length_s,
        output_tokens=float(np.sum(columns.output_tokens * _chunk_share(columns, window), where=ok)),
        prompt_tokens=float(np.sum(columns.prompt_tokens * prefill, where=ok & (prefill > 0))),
        requests=float(np.sum(life, where=ok)),
        good_requests=float(np.sum(life, where=ok & _good(columns, latencies, limits_ms))),
    )


def _good(columns: RequestColumns, latencies: RunLatencies, limits_ms: Mapping[str, float]) -> BoolArray:
    """What has no value keeps no limit, but for the time between tokens of an answer that was to have one."""
    good = np.ones(len(columns.ok), dtype=np.bool_)
    for metric, limit in limits_ms.items():
        values = latencies.per_request[metric]
        kept = values <= limit
        good &= kept | columns.one_asked if metric in ("tpot", "itl") else kept
    return good


def _share(start: FloatArray, end: FloatArray, window: Window) -> FloatArray:
    """The part of [start, end] that lies in the window; an instant is in it or not."""
    overlap = np.clip(np.minimum(end, window.end_s) - np.maximum(start, window.start_s), 0, None)
    length = end - start
    inside = (end >= window.start_s) & (end <= window.end_s)
    share: FloatArray = np.where(length > 0, overlap / np.where(length > 0, length, 1), inside)
    return share


def _chunk_share(columns: RequestColumns, window: Window) -> FloatArray:
    """The part of each request's chunks that arrived in the window; without chunks, of its token time."""
    owner = np.repeat(np.arange(len(columns.chunks)), columns.chunks)
    arrived = (columns.chunk_s >= window.start_s) & (columns.chunk_s <= window.end_s)
    inside = np.bincount(owner[arrived], minlength=len(columns.chunks))
    share: FloatArray = np.where(
        columns.chunks > 0, inside / np.maximum(columns.chunks, 1), _share(columns.first, columns.last, window)
    )
    return share
