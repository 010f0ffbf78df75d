"""What goodput asks of each request."""

from __future__ import annotations

from collections.abc import Mapping

from autotuner.study.model import LATENCIES, Slo, SloMetric


def goodput_limits(slo: Slo) -> Mapping[str, float]:
    """Latency metric → ms that a good request keeps.

    ``slo.<metric>.per_request_ms``, else the loosest threshold of that metric; a metric with neither asks nothing.
    """
    limits: dict[str, float] = {}
    for metric in LATENCIES:
        section: SloMetric = getattr(slo, metric)
        thresholds = [term.threshold_ms for name, _, term in slo.terms() if name == metric]
        if section.per_request_ms is not None:
            limits[metric] = section.per_request_ms
        elif thresholds:
            limits[metric] = max(thresholds)
    return limits
