"""A Prometheus page, read by the engine's own names for what is asked."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from autotuner.engines.server_metrics import Counter, Gauge, MetricSource, Ratio, ServerMetric, Share

# How label sets, and replicas, are taken together; the others are added up.
_TOGETHER: Mapping[str, Callable[[Sequence[float]], float]] = {
    ServerMetric.KV_CACHE_USE: max,
    ServerMetric.PREFIX_HIT_RATE: fmean,
}
_HITS, _QUERIES = "prefix_hits", "prefix_queries"


@dataclass(frozen=True)
class _Sample:
    labels: Mapping[str, str]
    value: float

    def fits(self, where: Sequence[tuple[str, str]]) -> bool:
        return all(self.labels.get(label, value) == value for label, value in where)


def read_page(page: str, sources: Mapping[ServerMetric, MetricSource]) -> dict[str, float]:
    """Fields of TelemetrySample that ``page`` (text format 0.0.4) tells. Raises ValueError for what is no such page.

    A counter is found with and without its ``_total``. Label sets are taken together as replicas are.
    """
    samples = _samples(page, {name for source in sources.values() for name in _names(source)})
    found: dict[str, float] = {}
    for metric, source in sources.items():
        found |= _field(metric, source, samples)
    return found


def together(answers: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What all replicas told, as one; what one of them did not tell is left out."""
    if not answers:
        return {}
    told = [name for name in answers[0] if all(name in answer for answer in answers)]
    return {name: _combined(name, [answer[name] for answer in answers]) for name in told}


def _names(source: MetricSource) -> tuple[str, ...]:
    match source:
        case Gauge(name=name) | Counter(name=name):
            return (name,)
        case Ratio(hits=hits, queries=queries):
            return hits, queries
        case Share(hits=hits, misses=misses):
            return hits, misses


def _field(metric: ServerMetric, source: MetricSource, page: Mapping[str, Sequence[_Sample]]) -> dict[str, float]:
    def total(name: str) -> float:
        return sum(sample.value for sample in page.get(name, ()))

    match source:
        case Gauge(name=name, scale=scale, where=where):
            values = [sample.value for sample in page.get(name, ()) if sample.fits(where)]
            return {metric.value: scale * _combined(metric.value, values)} if values else {}
        case Counter(name=name, from_first=from_first):
            return {metric.value: total(name)} if name in page or (from_first and page) else {}
        case Ratio(hits=hits, queries=queries):
            return {_HITS: total(hits), _QUERIES: total(queries)} if queries in page else {}
        case Share(hits=hits, misses=misses):
            told = hits in page or misses in page
            return {_HITS: total(hits), _QUERIES: total(hits) + total(misses)} if told else {}


def _combined(name: str, values: Sequence[float]) -> float:
    return float(_TOGETHER.get(name, sum)(values))


def _samples(page: str, wanted: Iterable[str]) -> dict[str, list[_Sample]]:
    """The finite samples of each wanted name that is there, one for each of its label sets."""
    from prometheus_client.parser import text_string_to_metric_families

    spelled = {spelling: name for name in wanted for spelling in (name, f"{name}_total")}
    starts = tuple(spelled)
    # Pages are hundreds of kilobytes of histograms: the parser gets the few lines that matter.
    lines = [line.rstrip("\r") for line in page.split("\n") if line.startswith(starts)]
    found: dict[str, list[_Sample]] = defaultdict(list)
    try:
        for family in text_string_to_metric_families("\n".join(lines) + "\n"):
            for sample in family.samples:
                if sample.name in spelled and math.isfinite(sample.value):
                    found[spelled[sample.name]].append(_Sample(sample.labels, float(sample.value)))
    except (KeyError, IndexError) as error:  # what its parser makes of some broken lines
        raise ValueError(f"no Prometheus page: {error}") from error
    return found
