"""SLO penalty: how far a load point is over its SLOs, and whether it is out of the question."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from autotuner.metrics.measurement import FloatArray, Measurement
from autotuner.metrics.percentile import percentile_interval
from autotuner.scoring.merit import summed_excess
from autotuner.scoring.score import Tier, Violation
from autotuner.scoring.values import EXPONENT_CAP, PENALTY_CAP
from autotuner.study.model import Slo, SloTerm

MINOR_RATIO = 0.2  # up to 20 % over is MINOR
_LEAST_EXCESS, _MOST_EXCESS = 1e-300, 1e300
_MOST_MARGIN = 40.0
_ROUNDING = 1e-12  # 1.2 over 1.0 is 20 %, though not in binary


@dataclass(frozen=True)
class SloVerdict:
    """``penalty`` is P, the sum over violated terms; ``hard_reasons`` say why the load point is infeasible.

    ``unmeasured`` are the columns of terms that the load point has no value for: whether they hold is not known.
    ``excess`` is log(1 + P) of the P that has no cap: 0 where every term holds, all there is where one is unmeasured.
    ``margins``: of each measured term log(value / threshold), within ±40: above 0 it is violated.
    ``unsure`` are the columns of percentiles whose 95 % interval (order statistics) holds the threshold.
    """

    penalty: float
    violations: tuple[Violation, ...]
    hard_reasons: tuple[str, ...]
    unmeasured: tuple[str, ...]
    excess: float
    margins: Mapping[str, float]
    unsure: tuple[str, ...] = ()


def judge_slo(measurement: Measurement, slo: Slo) -> SloVerdict:
    """Each term is met, violated, or unmeasured (tpot where every answer came in one chunk)."""
    violations: list[Violation] = []
    reasons: list[str] = []
    unmeasured: list[str] = []
    excesses: list[float] = []
    margins: dict[str, float] = {}
    unsure: list[str] = []
    for metric, statistic, term in slo.terms():
        column = f"{metric}_{statistic}_ms"
        value = measurement.metrics.get(column)
        if value is None or math.isnan(value):
            unmeasured.append(column)
            excesses.append(_MOST_EXCESS)
            continue
        ratio = min((value - term.threshold_ms) / term.threshold_ms, 1e300)
        margins[column] = _margin(value, term.threshold_ms)
        reason = _hard_reason(column, statistic, term, ratio, measurement.samples.get(metric)) if term.hard_fail else ""
        if reason:
            reasons.append(reason)
        if _may_be_either(statistic, term, measurement.samples.get(metric)):
            unsure.append(column)
        if ratio > 0:
            penalty = term_penalty(ratio, term.weight, slo)
            excesses.append(_term_excess(ratio, term.weight, slo))
            tier = Tier.HARD if reason else violation_tier(ratio)
            violations.append(Violation(column, value, term.threshold_ms, ratio, penalty, tier))
    total = min(sum(v.penalty for v in violations), PENALTY_CAP)
    return SloVerdict(
        total, tuple(violations), tuple(reasons), tuple(unmeasured), summed_excess(excesses), margins, tuple(unsure)
    )


def _margin(value: float, threshold: float) -> float:
    return min(math.log(max(value / threshold, math.exp(-_MOST_MARGIN))), _MOST_MARGIN)


def _may_be_either(statistic: str, term: SloTerm, samples: FloatArray | None) -> bool:
    """Whether a percentile's limit may hold or not, for all that its samples tell; of a mean this is not asked."""
    if statistic == "mean" or samples is None or not len(samples):
        return False
    low, high = percentile_interval(samples, float(statistic[1:]))
    return low <= term.threshold_ms < high


def term_penalty(ratio: float, weight: float, slo: Slo) -> float:
    """weight × exp(v / steepness) for v > 0; ``curve: smooth`` subtracts the weight, so that it starts at 0."""
    return min(weight * _curve(min(ratio / slo.steepness, EXPONENT_CAP), slo), PENALTY_CAP)


def _term_excess(ratio: float, weight: float, slo: Slo) -> float:
    """log(1 + penalty) of one violated term, without the caps of ``term_penalty``; above 0."""
    exponent = ratio / slo.steepness
    excess = math.log1p(weight * _curve(exponent, slo)) if exponent < EXPONENT_CAP else exponent + math.log(weight)
    return min(max(excess, _LEAST_EXCESS), _MOST_EXCESS)


def _curve(exponent: float, slo: Slo) -> float:
    return math.exp(exponent) - 1 if slo.curve == "smooth" else math.exp(exponent)


def violation_tier(ratio: float) -> Tier:
    return Tier.MINOR if ratio <= MINOR_RATIO + _ROUNDING else Tier.SEVERE


def _hard_reason(column: str, statistic: str, term: SloTerm, ratio: float, samples: FloatArray | None) -> str:
    """Why the term rules the load point out, or an empty string.

    A percentile must be over the limit for sure: the lower end of its 95 % interval counts. Without samples
    the value itself does.
    """
    if ratio > term.fail_ratio:
        limit = term.threshold_ms * (1 + term.fail_ratio)
        if statistic == "mean" or samples is None or not len(samples):
            sure = True
        else:
            sure = percentile_interval(samples, float(statistic[1:]))[0] > limit
        if sure:
            return f"{column} is {ratio:.0%} over {term.threshold_ms:g} ms, more than {term.fail_ratio:.0%}"
    if term.fail_fraction is not None and samples is not None and len(samples):
        fraction = float(np.mean(samples > term.threshold_ms))
        if fraction > term.fail_fraction:
            return f"{column}: {fraction:.1%} of the requests are over {term.threshold_ms:g} ms"
    return ""
