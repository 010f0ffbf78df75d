"""How sure a rate is: batch means of a load point's window."""

from __future__ import annotations

import numpy as np
import pytest

from autotuner.metrics import LoadKind, LoadLevel, MeasureContext, PointRun, measure
from autotuner.metrics.request import Replayed
from tests.unit.metrics.test_measure import LEVEL, request

CONTEXT = MeasureContext(gpus=2, replicas=1, request_timeout_s=60, cost_per_hour=3.0)
RATE = "output_tokens_per_s"


def run(seconds: list[float]) -> PointRun:
    """One slot, one request after another, each of which takes so long; 11 tokens each."""
    starts = np.concatenate(([0.0], np.cumsum(seconds)))
    records = tuple(
        request(float(start), ttft=took / 11, gap=took / 11) for start, took in zip(starts, seconds, strict=False)
    )
    return PointRun(LEVEL, records)


def test_a_steady_load_point_is_sure_and_an_uneven_one_is_not() -> None:
    steady, uneven = measure(LEVEL, [run([1.0] * 64)], CONTEXT), measure(LEVEL, [run([0.5] * 16 + [1.5] * 16)], CONTEXT)
    for measured in (steady, uneven):
        low, high = measured.intervals[RATE]
        assert low <= measured.metrics[RATE] <= high
    assert steady.intervals[RATE] == pytest.approx((11.0, 11.0), rel=0.05)
    assert uneven.intervals[RATE][1] > 1.2 * uneven.intervals[RATE][0]


def test_what_is_made_of_a_rate_has_its_interval_the_right_way_round() -> None:
    found = measure(LEVEL, [run([0.5, 1.5] * 16)], CONTEXT).intervals
    assert found[f"{RATE}_per_gpu"] == pytest.approx(tuple(end / 2 for end in found[RATE]))
    low, high = found[RATE]
    assert found["cost_per_mtok"] == pytest.approx((3e6 / 3600 / high, 3e6 / 3600 / low))
    assert found["cost_per_mtok"][0] < found["cost_per_mtok"][1]


def test_it_covers_the_true_rate_in_most_of_many_draws() -> None:
    """Requests of exponential length, on average 1 s: 11 tokens/s. One window in twenty may miss that; few more do."""
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        low, high = measure(LEVEL, [run(list(rng.exponential(1.0, 256)))], CONTEXT).intervals[RATE]
        covered += low <= 11.0 <= high
    assert 180 <= covered < 200


def test_the_interval_is_students_of_batch_means() -> None:
    """Of steady tokens, half of the 8 batches at 22 and half at 11 a second; t of 7 degrees of freedom is 2.365."""
    found = measure(LEVEL, [run([0.5] * 40 + [1.0] * 20)], CONTEXT)
    low, high = found.intervals[RATE]
    deviation = np.std([22.0] * 4 + [11.0] * 4, ddof=1)
    assert (high - low) / 2 == pytest.approx(2.365 * deviation / 8**0.5, rel=0.02)


def test_a_rate_is_not_below_nothing() -> None:
    low, high = measure(LEVEL, [run([0.1, 0.1, 30.0])], CONTEXT).intervals[RATE]
    assert 0.0 <= low < high


def test_a_window_of_no_length_and_none_at_all_tell_nothing() -> None:
    assert measure(LEVEL, [PointRun(LEVEL, ())], CONTEXT).intervals == {}
    instant = request(0.0, ttft=0.0, gap=0.0, tokens=1)
    open_loop = LoadLevel(LoadKind.RATE, 1.0)
    assert measure(open_loop, [PointRun(open_loop, (instant,))], CONTEXT).intervals == {}


def test_what_a_table_of_metrics_says_is_taken_for_exact() -> None:
    recorded = PointRun(LEVEL, (), replayed=Replayed(8, {RATE: 50.0}))
    found = measure(LEVEL, [recorded], CONTEXT).intervals
    assert (found[RATE], found[f"{RATE}_per_gpu"]) == ((50.0, 50.0), (25.0, 25.0))
