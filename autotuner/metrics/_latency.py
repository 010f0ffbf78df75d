"""Latencies of the measured requests of one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from autotuner.metrics._columns import RequestColumns
from autotuner.metrics.measurement import FloatArray


@dataclass(frozen=True)
class RunLatencies:
    """In ms. The arrays of ``per_request`` run along all requests, warm-up too; NaN: has no such value or failed.

    ``gaps`` are the inter-token gaps of the good measured requests, end to end.
    """

    per_request: Mapping[str, FloatArray]
    gaps: FloatArray


def run_latencies(columns: RequestColumns) -> RunLatencies:
    ok = columns.ok
    ttft = np.where(ok, columns.first - columns.since, np.nan) * 1000
    e2e = np.where(ok, columns.last - columns.since, np.nan) * 1000
    tpot = np.where(ok, columns.gap, np.nan) * 1000
    visible = np.where(ok, columns.visible - columns.since, np.nan) * 1000
    stream = columns.last - columns.first
    per_chunk = columns.gap * (columns.chunks - 1) / np.where(stream > 0, stream, np.nan)
    scale = np.where(ok & columns.measured, per_chunk, np.nan)
    gaps = _gaps(columns) * 1000 * np.repeat(scale, np.maximum(columns.chunks - 1, 0))
    # A request's own itl is the mean of its gaps, which is its tpot.
    per_request = {"ttft": ttft, "ttft_visible": visible, "tpot": tpot, "itl": tpot, "e2e": e2e}
    return RunLatencies(per_request, gaps[~np.isnan(gaps)])


def _gaps(columns: RequestColumns) -> FloatArray:
    """Seconds between neighbouring chunks of the same request."""
    owner = np.repeat(np.arange(len(columns.chunks)), columns.chunks)
    gaps: FloatArray = np.diff(columns.chunk_s)[np.diff(owner) == 0]
    return gaps
