"""RequestRecords as columns: one pass over the objects, the rest is numpy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autotuner.metrics.load_level import LoadKind
from autotuner.metrics.measurement import FloatArray
from autotuner.metrics.request import PointRun, RequestError

BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class RequestColumns:
    """The requests of one run that count, warm-up included and cancelled ones left out.

    Times are seconds on the run's clock; ``since`` is where latency starts. An unknown time is NaN, an unknown
    token count 0, but for ``prompt_tokens`` (NaN). ``gap`` is the mean time between streamed tokens, NaN where there is
    none. ``one_asked``: no more than one token was asked for. ``chunk_s`` holds all requests' chunks end to end,
    ``chunks`` how many each has.
    """

    measured: BoolArray
    ok: BoolArray
    since: FloatArray
    sent: FloatArray
    first: FloatArray
    last: FloatArray
    visible: FloatArray
    prompt_tokens: FloatArray
    output_tokens: FloatArray
    gap: FloatArray
    one_asked: BoolArray
    chunks: IntArray
    chunk_s: FloatArray

    @classmethod
    def of(cls, run: PointRun) -> RequestColumns:
        records = [r for r in run.records if r.error is not RequestError.CANCELLED]
        sent = _floats([r.sent_s for r in records])
        end = _floats([r.end_s for r in records])
        last = _floats([r.last_token_s for r in records])
        last = np.where(np.isnan(last), end, last)
        first = _floats([r.first_token_s for r in records])
        since = sent if run.level.kind is LoadKind.CONCURRENCY else _floats([r.scheduled_s for r in records])
        return cls(
            measured=np.array([not r.warmup for r in records], dtype=np.bool_),
            ok=np.array([r.ok for r in records], dtype=np.bool_),
            since=since,
            sent=sent,
            first=np.where(np.isnan(first), last, first),
            last=last,
            visible=_floats([r.first_visible_s for r in records]),
            prompt_tokens=_floats([r.prompt_tokens for r in records]),
            output_tokens=_floats([r.output_tokens or 0 for r in records]),
            gap=_floats([r.token_gap_s for r in records]),
            one_asked=np.array([r.asked_output_tokens == 1 for r in records], dtype=np.bool_),
            chunks=np.array([len(r.chunk_s) for r in records], dtype=np.int64),
            chunk_s=_floats([t for r in records for t in r.chunk_s]),
        )


def _floats(values: Sequence[float | None]) -> FloatArray:
    return np.array(values, dtype=np.float64)
