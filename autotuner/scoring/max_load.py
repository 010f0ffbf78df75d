"""Whether a load meets every SLO for sure, and the largest one that does: what a load search finds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from enum import Enum, auto
from typing import NamedTuple

from autotuner.metrics.measurement import MeasureContext, Measurement
from autotuner.metrics.percentile import percentile_interval, surely_over
from autotuner.scoring.slo import judge_slo
from autotuner.scoring.unusable import unusable
from autotuner.study.model import Slo, SloTerm

FOUND = ("max_load", "max_load_per_gpu")
NOT_HELD = "not every SLO surely holds"
_TAIL = 0.025  # of a 95 % interval
_OF_EACH_REQUEST = ("ttft", "e2e")


class LostLimit(NamedTuple):
    """So many ``requests`` whose ``metric`` is over ``limit_s`` seconds leave no doubt that its SLO does not hold."""

    metric: str
    limit_s: float
    requests: int


class Holds(Enum):
    """Whether every SLO holds at a load level.

    UNSURE ──▶ YES or NO with more requests, or for good when there are none to be had: it then counts as NO.
    """

    YES = auto()
    NO = auto()
    UNSURE = auto()


def holds(measurement: Measurement, slo: Slo) -> Holds:
    """YES: every term holds, and for each percentile its whole 95 % interval (order statistics) does.

    NO: the point can't be used (errors, missing or short answers, given up), a term has no value, a mean is over its
    limit, or a percentile's interval as a whole is. Means, the error rate, and what has no samples by their value.
    """
    if unusable(measurement, slo) or judge_slo(measurement, slo).unmeasured:
        return Holds.NO
    found = [_term_holds(measurement, metric, statistic, term) for metric, statistic, term in slo.terms()]
    if Holds.NO in found:
        return Holds.NO
    return Holds.UNSURE if Holds.UNSURE in found else Holds.YES


def _term_holds(measurement: Measurement, metric: str, statistic: str, term: SloTerm) -> Holds:
    low = high = measurement.metrics[f"{metric}_{statistic}_ms"]
    samples = measurement.samples.get(metric)
    if statistic != "mean" and samples is not None and len(samples):
        low, high = percentile_interval(samples, float(statistic[1:]))
    if high <= term.threshold_ms:
        return Holds.YES
    return Holds.NO if low > term.threshold_ms else Holds.UNSURE


def fewest_requests(slo: Slo) -> int:
    """With fewer samples no percentile of the SLOs can surely hold: qⁿ, that all n are below it, must be at most 2.5 %.

    1 where the SLOs have means alone.
    """
    percents = [float(statistic[1:]) for _, statistic, _ in slo.terms() if statistic != "mean"]
    return max((math.ceil(math.log(_TAIL) / math.log(percent / 100)) for percent in percents), default=1)


def lost_at(slo: Slo, requests: int) -> Iterator[LostLimit]:
    """Each limit on a percentile of a time that every request has one of, with how many over it break it for sure."""
    for metric, statistic, term in slo.terms():
        if metric not in _OF_EACH_REQUEST or statistic == "mean":
            continue
        over = surely_over(requests, float(statistic[1:]))
        if over is not None:
            yield LostLimit(metric, term.threshold_ms / 1000, over)


def with_max_load(measurements: Iterable[Measurement], slo: Slo, context: MeasureContext) -> tuple[Measurement, ...]:
    """The load points of one trial, in their order, those that hold with their load as ``max_load``.

    Above the lowest level that does not hold none does: what chance lets pass there is no load to promise.
    """
    given = tuple(measurements)
    held = {m.level for m in _held(sorted(given, key=lambda m: m.level), slo)}
    servers = context.gpus or context.replicas or 1
    return tuple(_marked(m, servers) if m.level in held else _unmarked(m) for m in given)


def _held(rising: Sequence[Measurement], slo: Slo) -> Iterable[Measurement]:
    for measurement in rising:
        if holds(measurement, slo) is not Holds.YES:
            return
        yield measurement


def _marked(measurement: Measurement, servers: int) -> Measurement:
    load = measurement.level.value
    return replace(measurement, metrics={**measurement.metrics, "max_load": load, "max_load_per_gpu": load / servers})


def _unmarked(measurement: Measurement) -> Measurement:
    return replace(measurement, metrics={c: v for c, v in measurement.metrics.items() if c not in FOUND})
