"""Measurement: the metrics of one load point, with the samples they were made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from autotuner.metrics.load_level import LoadLevel
from autotuner.metrics.request import TokensBy

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class MeasureContext:
    """What turns requests into rates per GPU, cost and goodput.

    ``replicas`` stands in for ``gpus`` where there are none. ``cost_per_hour`` is that of the whole
    trial, ``None`` when the study names no price. ``limits_ms`` is what goodput asks of each request:
    latency metric → ms.
    """

    gpus: int
    replicas: int
    request_timeout_s: float
    cost_per_hour: float | None = None
    limits_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """The metrics of one load point, cumulative over the rungs of a trial so far.

    ``metrics`` maps column names (``ttft_p90_ms``, ``output_tokens_per_s_per_gpu``, …) to finite
    floats; a metric that can't be had (cost without a price) is absent. ``samples`` maps each latency
    metric to its per-request values in ms, failed requests counted as the request time-out. ``intervals`` are 95 %
    intervals of rates and of what is made of them, as far as one launch can tell. ``tokens_by`` is the least
    sure way in which output tokens of a good request were counted, ``notes`` what a reader of the figures must know,
    ``disturbed`` what others did while one of its runs was measured; empty: nothing.
    """

    level: LoadLevel
    requests: int
    errors: int
    metrics: Mapping[str, float]
    samples: Mapping[str, FloatArray] = field(default_factory=dict, repr=False, compare=False)
    stopped_early: str | None = None
    tokens_by: TokensBy | None = None
    notes: tuple[str, ...] = ()
    disturbed: str = ""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict, repr=False, compare=False)
