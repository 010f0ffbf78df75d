"""Whether a load surely meets its SLOs, and the largest that does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autotuner.metrics import LoadKind, LoadLevel, MeasureContext, Measurement, percentile
from autotuner.scoring import Holds, fewest_requests, holds, lost_at, parse_objective, score_rung, with_max_load
from autotuner.study.model import Slo

SLO = Slo.model_validate({"ttft": {"p90": "300ms"}})
CONTEXT = MeasureContext(gpus=2, replicas=1, request_timeout_s=60)


def slots(load: float) -> LoadLevel:
    return LoadLevel(LoadKind.CONCURRENCY, load)


def point(load: float, ttft_ms: np.ndarray[Any, Any] | None = None, **changes: Any) -> Measurement:
    """64 requests of 100 ms, where nothing else is said."""
    values = np.full(64, 100.0) if ttft_ms is None else ttft_ms
    metrics = {"ttft_p90_ms": percentile(values, 90), "ttft_mean_ms": float(values.mean()), "output_tokens_mean": 5.0}
    given: dict[str, Any] = {"metrics": metrics, "samples": {"ttft": values}, "errors": 0, "requests": len(values)}
    return Measurement(slots(load), **{**given, **changes})


def of_100(over: int) -> np.ndarray[Any, Any]:
    """100 values, so many of which are over 300 ms."""
    return np.concatenate((np.full(100 - over, 100.0), np.full(over, 400.0)))


@pytest.mark.parametrize(
    ("over", "expected"),
    # Of 100 values below the 90th percentile there are 84 to 95 with 95 %: binomial(100, 0.9), by any table of it.
    [(0, Holds.YES), (4, Holds.YES), (5, Holds.UNSURE), (10, Holds.UNSURE), (16, Holds.UNSURE), (17, Holds.NO)],
)
def test_a_percentile_holds_where_its_whole_interval_does(over: int, expected: Holds) -> None:
    assert holds(point(1, of_100(over)), SLO) is expected


def test_a_mean_and_a_table_of_metrics_count_by_their_value() -> None:
    mean = Slo.model_validate({"ttft": {"mean": "300ms"}})
    assert holds(point(1, np.array([299.0, 300.0])), mean) is Holds.YES
    assert holds(point(1, np.array([299.0, 302.0])), mean) is Holds.NO
    recorded = {"ttft_p90_ms": 299.0}
    assert holds(point(1, metrics=recorded, samples={}), SLO) is Holds.YES
    assert holds(point(1, metrics={"ttft_p90_ms": 301.0}, samples={}), SLO) is Holds.NO


@pytest.mark.parametrize(
    "changes",
    [
        {"errors": 3},
        {"stopped_early": "hopeless"},
        {"metrics": {"ttft_mean_ms": 100.0}},
        {"metrics": {"ttft_p90_ms": 100.0, "output_share": 0.5}},
    ],
)
def test_what_can_not_be_used_or_was_not_measured_does_not_hold(changes: dict[str, Any]) -> None:
    assert holds(point(1, **changes), SLO) is Holds.NO


def test_one_term_that_is_broken_outweighs_one_that_is_unsure() -> None:
    both = Slo.model_validate({"ttft": {"p90": "300ms", "mean": "110ms"}})
    assert holds(point(1, of_100(10)), both) is Holds.NO


@pytest.mark.parametrize(("statistic", "fewest"), [("mean", 1), ("p50", 6), ("p90", 36), ("p95", 72), ("p99", 368)])
def test_so_many_requests_are_needed_for_a_percentile_to_hold_surely(statistic: str, fewest: int) -> None:
    slo = Slo.model_validate({"ttft": {statistic: "300ms"}})
    assert fewest_requests(slo) == fewest
    if statistic != "mean":
        assert holds(_perfect(statistic, fewest), slo) is Holds.YES
        assert holds(_perfect(statistic, fewest - 1), slo) is Holds.UNSURE


def _perfect(statistic: str, requests: int) -> Measurement:
    return point(1, np.full(requests, 100.0), metrics={f"ttft_{statistic}_ms": 100.0})


def test_a_load_that_is_just_too_high_seldom_passes_even_after_three_looks() -> None:
    """The true 90th percentile is 1 % over its limit; at 64, 128 and 256 requests it is asked whether it holds."""
    rng = np.random.default_rng(0)
    passed = 0
    for _ in range(1000):
        values = np.exp(rng.normal(0.0, 0.3, 256))
        values *= 303.0 / np.exp(0.3 * 1.2815515655446004)  # e^(σ z₀.₉) is the 90th percentile of a log-normal
        looks = (holds(point(1, values[:n]), SLO) for n in (64, 128, 256))
        passed += next((look for look in looks if look is not Holds.UNSURE), Holds.NO) is Holds.YES
    assert passed <= 50


def test_each_load_that_holds_is_marked_with_itself_per_gpu_too() -> None:
    found = with_max_load([point(4), point(2), point(8, of_100(50))], SLO, CONTEXT)
    assert [m.level.value for m in found] == [4, 2, 8]
    assert [(m.metrics.get("max_load"), m.metrics.get("max_load_per_gpu")) for m in found] == [
        (4, 2),
        (2, 1),
        (None, None),
    ]


def test_without_gpus_it_is_by_replica() -> None:
    none = MeasureContext(gpus=0, replicas=4, request_timeout_s=60)
    (found,) = with_max_load([point(8)], SLO, none)
    assert found.metrics["max_load_per_gpu"] == 2


def test_above_a_load_that_does_not_hold_none_does() -> None:
    found = with_max_load([point(2), point(4, of_100(50)), point(8)], SLO, CONTEXT)
    assert [m.metrics.get("max_load") for m in found] == [2, None, None]


def test_what_was_marked_under_other_slos_is_not_any_more() -> None:
    (marked,) = with_max_load([point(2)], SLO, CONTEXT)
    stricter = Slo.model_validate({"ttft": {"p90": "50ms"}})
    assert "max_load" not in with_max_load([marked], stricter, CONTEXT)[0].metrics


def test_the_best_load_point_is_the_largest_that_holds() -> None:
    measured = with_max_load([point(2), point(4), point(8, of_100(10))], SLO, CONTEXT)
    score = score_rung(measured, [], SLO, [parse_objective("max_load")])
    assert (score.level, score.value, score.feasible, score.slo_met) == (slots(4), 4.0, True, True)


def test_where_none_holds_the_score_says_so() -> None:
    measured = with_max_load([point(1, of_100(50))], SLO, CONTEXT)
    score = score_rung(measured, [], SLO, [parse_objective("max_load_per_gpu")])
    assert not score.feasible
    assert "not every SLO surely holds" in score.reason
    assert score.violations[0].metric == "ttft_p90_ms"


def test_so_many_requests_over_a_limit_break_it_for_sure() -> None:
    slo = Slo.model_validate({"ttft": {"p90": "300ms", "mean": "200ms"}, "tpot": {"p90": "40ms"}, "e2e": {"p50": "2s"}})
    found = [tuple(limit) for limit in lost_at(slo, 100)]
    # By binomial(100, 0.9) and (100, 0.5): 84 and 40 of 100 are surely below the percentile.
    assert found == [("ttft", 0.3, 17), ("e2e", 2.0, 61)]
    assert holds(point(1, of_100(17)), SLO) is Holds.NO
    assert holds(point(1, of_100(16)), SLO) is Holds.UNSURE


def test_of_too_few_requests_none_breaks_a_limit_for_sure() -> None:
    assert [*lost_at(Slo.model_validate({"ttft": {"p50": "300ms"}}), 3)] == []
