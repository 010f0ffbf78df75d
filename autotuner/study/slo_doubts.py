"""Limits that no service has: most likely another unit was meant. Told, never refused."""

from __future__ import annotations

from collections.abc import Iterator

from autotuner.study.sections.slo import LATENCIES, Slo, SloMetric

# Milliseconds between which a limit is one that somebody could mean.
_PLAUSIBLE = {"ttft": (2.0, 120_000.0), "tpot": (0.5, 10_000.0), "itl": (0.5, 10_000.0), "e2e": (10.0, 3_600_000.0)}


def doubtful_limits(slo: Slo) -> list[str]:
    """A line for each limit that is 1000 times off, or more."""
    return [text for key, metric, limit_ms in _limits(slo) if (text := _doubt(key, metric, limit_ms))]


def _limits(slo: Slo) -> Iterator[tuple[str, str, float]]:
    for metric, statistic, term in slo.terms():
        yield f"slo.{metric}.{statistic}", metric, term.threshold_ms
    for metric in LATENCIES:
        section: SloMetric = getattr(slo, metric)
        if section.per_request_ms is not None:
            yield f"slo.{metric}.per_request_ms", metric, section.per_request_ms


def _doubt(key: str, metric: str, limit_ms: float) -> str:
    low, high = _PLAUSIBLE[metric]
    if low <= limit_ms <= high:
        return ""
    meant_ms, unit = (limit_ms * 1000, "seconds") if limit_ms < low else (limit_ms / 1000, "milliseconds")
    hint = f": {unit} meant? That is {meant_ms:g}ms" if low <= meant_ms <= high else ""
    side = f"less than {low:g} ms" if limit_ms < low else f"more than {high / 1000:g} s"
    return f"{key}: {limit_ms:g} ms, {side}{hint}"
