"""Requests, load levels, and the metrics made from them."""

from autotuner.metrics.context import measure_context
from autotuner.metrics.direction import Direction
from autotuner.metrics.goodput import goodput_limits
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.metrics.measure import measure
from autotuner.metrics.measurement import FloatArray, MeasureContext, Measurement
from autotuner.metrics.percentile import percentile, percentile_interval
from autotuner.metrics.registry import LATENCY_METRICS, METRICS, STATISTICS, LatencyMetric, Metric, find_metric
from autotuner.metrics.request import PointRun, RequestError, RequestRecord, TokensBy
from autotuner.metrics.telemetry import Telemetry, TelemetrySample
from autotuner.metrics.window import Window, find_window

__all__ = [
    "LATENCY_METRICS",
    "METRICS",
    "STATISTICS",
    "Direction",
    "FloatArray",
    "LatencyMetric",
    "LoadKind",
    "LoadLevel",
    "MeasureContext",
    "Measurement",
    "Metric",
    "PointRun",
    "RequestError",
    "RequestRecord",
    "Telemetry",
    "TelemetrySample",
    "TokensBy",
    "Window",
    "find_metric",
    "find_window",
    "goodput_limits",
    "measure",
    "measure_context",
    "percentile",
    "percentile_interval",
]
