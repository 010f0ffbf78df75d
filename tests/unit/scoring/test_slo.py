"""How far a load point is over its SLOs: every edge of a term, and when one rules the point out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from autotuner.metrics import LoadKind, LoadLevel, Measurement
from autotuner.scoring import SloVerdict, Tier, judge_slo
from autotuner.scoring.slo import term_penalty
from autotuner.study.model import Slo

LEVEL = LoadLevel(LoadKind.CONCURRENCY, 1)


def slo(**sections: Any) -> Slo:
    return Slo.model_validate(sections)


def judged(
    value: float, samples: list[float] | None = None, *, statistic: str = "p90", slo_keys: Any = None, **term: Any
) -> SloVerdict:
    """One term of ttft with a threshold of 100 ms."""
    arrays = {} if samples is None else {"ttft": np.array(samples, dtype=np.float64)}
    measured = Measurement(LEVEL, 100, 0, {f"ttft_{statistic}_ms": value}, arrays)
    return judge_slo(measured, slo(ttft={statistic: {"threshold_ms": 100, **term}}, **(slo_keys or {})))


# ── the penalty and its caps ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("ratio", "weight", "curve", "penalty"),
    [
        (0.1, 2.0, "exponential", 2 * math.e),
        (0.1, 2.0, "smooth", 2 * (math.e - 1)),
        (5.0, 1.0, "exponential", math.exp(50)),
        (5.1, 1.0, "exponential", math.exp(50)),  # the exponent is cut
        (1e300, 1e3, "exponential", 1e3 * math.exp(50)),
        (5.0, 1e4, "exponential", 1e25),  # so is the penalty
    ],
)
def test_a_term_costs_its_weight_times_the_exponential_of_its_ratio_over_the_steepness(
    ratio: float, weight: float, curve: str, penalty: float
) -> None:
    assert term_penalty(ratio, weight, slo(curve=curve)) == pytest.approx(penalty)


def test_penalties_of_several_terms_are_summed_up_to_the_cap() -> None:
    terms = {"p50": {"threshold_ms": 100}, "p90": {"threshold_ms": 100, "weight": 3}}
    measured = Measurement(LEVEL, 100, 0, {"ttft_p50_ms": 110, "ttft_p90_ms": 120})
    assert judge_slo(measured, slo(ttft=terms)).penalty == pytest.approx(math.e + 3 * math.exp(2))
    far = Measurement(LEVEL, 100, 0, {"ttft_p50_ms": 1e9, "ttft_p90_ms": 1e9})
    heavy = {name: {**term, "weight": 1e9} for name, term in terms.items()}
    assert judge_slo(far, slo(ttft=heavy)).penalty == 1e25


@pytest.mark.parametrize(
    ("value", "weight", "curve", "excess"),
    [
        (100.0, 2.0, "exponential", 0.0),
        (110.0, 2.0, "exponential", math.log(1 + 2 * math.e)),
        (110.0, 2.0, "smooth", math.log(1 + 2 * (math.e - 1))),
        (600.0, 2.0, "exponential", 50 + math.log(2)),
        (1100.0, 2.0, "exponential", 100 + math.log(2)),  # no cap: farther is farther
        (1100.0, 0.5, "smooth", 100 + math.log(0.5)),
        (1e308, 1.0, "exponential", 1e300),
    ],
)
def test_the_excess_is_the_logarithm_of_the_penalty_without_its_caps(
    value: float, weight: float, curve: str, excess: float
) -> None:
    assert judged(value, weight=weight, slo_keys={"curve": curve}).excess == pytest.approx(excess)


def test_a_violation_is_one_however_little_it_costs() -> None:
    verdict = judged(100 * (1 + 2**-50), slo_keys={"curve": "smooth", "steepness": 1e6})
    assert 0 < verdict.excess < 1e-250
    assert len(verdict.violations) == 1


def test_an_slo_without_a_value_is_all_there_is_over_and_stops_no_other() -> None:
    terms = {"ttft": {"p90": {"threshold_ms": 100}}, "tpot": {"mean": {"threshold_ms": 100}}}
    verdict = judge_slo(Measurement(LEVEL, 100, 0, {"tpot_mean_ms": 110}), slo(**terms))
    assert (verdict.unmeasured, verdict.excess) == (("ttft_p90_ms",), 1e300)
    assert [violation.metric for violation in verdict.violations] == ["tpot_mean_ms"]


def test_a_violation_tells_by_how_much() -> None:
    [violation] = judged(125).violations
    assert (violation.metric, violation.value, violation.threshold) == ("ttft_p90_ms", 125, 100)
    assert [violation.ratio, violation.penalty] == pytest.approx([0.25, math.exp(2.5)])


# ── ruled out ─────────────────────────────────────────────────────────────────────────────────

HALF_OVER = "is 51% over 100 ms, more than 50%"


@pytest.mark.parametrize(("value", "ruled_out"), [(150, False), (151, True)])
@pytest.mark.parametrize("samples", [None, []], ids=["no samples", "empty"])
@pytest.mark.parametrize("statistic", ["mean", "p90"])
def test_without_samples_the_value_itself_is_to_be_more_than_the_ratio_over(
    value: float, ruled_out: bool, samples: list[float] | None, statistic: str
) -> None:
    verdict = judged(value, samples, statistic=statistic, hard_fail=True)
    assert verdict.hard_reasons == ((f"ttft_{statistic}_ms {HALF_OVER}",) if ruled_out else ())
    assert verdict.violations[0].tier is (Tier.HARD if ruled_out else Tier.SEVERE)


def test_a_mean_is_sure_whatever_its_samples_are() -> None:
    assert judged(151, [50.0] * 10, statistic="mean", hard_fail=True).hard_reasons


@pytest.mark.parametrize(("samples_ms", "ruled_out"), [(150.0, False), (151.0, True), (50.0, False)])
def test_a_percentile_is_sure_where_the_lower_end_of_its_interval_is_over(samples_ms: float, ruled_out: bool) -> None:
    """Of alike samples the interval is one value."""
    assert bool(judged(151, [samples_ms] * 100, hard_fail=True).hard_reasons) is ruled_out


def test_its_own_ratio_counts() -> None:
    assert judged(121, hard_fail=True, fail_ratio=0.2).hard_reasons == (
        "ttft_p90_ms is 21% over 100 ms, more than 20%",
    )
    assert judged(120, hard_fail=True, fail_ratio=0.2).hard_reasons == ()


def test_only_what_may_fail_hard_rules_out() -> None:
    assert judged(1e6, [1e6] * 100, fail_fraction=0.1).hard_reasons == ()


@pytest.mark.parametrize(
    ("over", "ruled_out"), [(2, False), (3, True)], ids=["as many as are allowed", "more than that"]
)
def test_more_requests_over_the_threshold_than_the_fraction_rule_out(over: int, ruled_out: bool) -> None:
    """A request at the threshold is not over it."""
    verdict = judged(90, [101.0] * over + [100.0] * (10 - over), hard_fail=True, fail_fraction=0.2)
    assert verdict.hard_reasons == (("ttft_p90_ms: 30.0% of the requests are over 100 ms",) if ruled_out else ())
    assert verdict.violations == ()


@pytest.mark.parametrize("samples", [None, []], ids=["no samples", "empty"])
def test_without_samples_no_fraction_is_over(samples: list[float] | None) -> None:
    assert judged(140, samples, hard_fail=True, fail_fraction=0.2).hard_reasons == ()


def test_a_percentile_that_is_not_sure_may_yet_fail_by_the_fraction() -> None:
    verdict = judged(400, [50.0] * 8 + [400.0] * 2, hard_fail=True, fail_fraction=0.1)
    assert verdict.hard_reasons == ("ttft_p90_ms: 20.0% of the requests are over 100 ms",)


# ── margins ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("value", [50.0, 100.0, 400.0])
def test_the_margin_of_a_term_is_the_logarithm_of_value_over_threshold_met_or_not(value: float) -> None:
    assert judged(value).margins == {"ttft_p90_ms": pytest.approx(math.log(value / 100))}


@pytest.mark.parametrize(("value", "margin"), [(0.0, -40.0), (1e300, 40.0)])
def test_a_margin_is_finite_whatever_the_value(value: float, margin: float) -> None:
    assert judged(value).margins == {"ttft_p90_ms": pytest.approx(margin)}


def test_a_term_without_a_value_has_no_margin() -> None:
    assert judged(math.nan).margins == {}


# ── terms that may hold or not ────────────────────────────────────────────────────────────────


def test_a_percentile_whose_interval_holds_its_limit_is_unsure() -> None:
    """Of 100 samples the 90th percentile's interval is the 84th to the 96th; here 10 lie over the limit."""
    either = [50.0] * 90 + [150.0] * 10
    assert judged(60.0, either).unsure == ("ttft_p90_ms",)
    assert judged(110.0, either).unsure == ("ttft_p90_ms",)
    assert judged(50.0, [50.0] * 97 + [150.0] * 3).unsure == ()
    assert judged(150.0, [50.0] * 83 + [150.0] * 17).unsure == ()
    assert judged(50.0, [50.0] * 10).unsure == ("ttft_p90_ms",), "so few have no upper end"


def test_without_samples_and_of_a_mean_it_is_not_asked() -> None:
    assert judged(100.0).unsure == ()
    assert judged(100.0, [], statistic="p90").unsure == ()
    assert judged(100.0, [50.0, 150.0], statistic="mean").unsure == ()
