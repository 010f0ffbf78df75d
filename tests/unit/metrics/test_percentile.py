from __future__ import annotations

import math

import numpy as np
import pytest

from autotuner.metrics import percentile, percentile_interval
from autotuner.metrics.percentile import has_both_ends, surely_over


def test_percentile_interpolates_between_order_statistics() -> None:
    values = np.array([40.0, 10.0, 20.0, 30.0])
    assert percentile(values, 50) == 25.0
    assert percentile(values, 90) == pytest.approx(37.0)


def test_interval_of_a_median_as_tabulated() -> None:
    # Conover, Practical Nonparametric Statistics: n = 20, median: order statistics 6 and 15 (95.86 %).
    assert percentile_interval(np.arange(1.0, 21.0), 50) == (6.0, 15.0)
    # n = 10: 2 and 9 (97.85 %).
    assert percentile_interval(np.arange(1.0, 11.0), 50) == (2.0, 9.0)
    # n = 6: the smallest and the largest (96.88 %).
    assert percentile_interval(np.arange(1.0, 7.0), 50) == (1.0, 6.0)


def test_an_end_that_the_sample_is_too_small_for_is_open() -> None:
    low, high = percentile_interval(np.arange(1.0, 21.0), 99)
    assert (low, high) == (19.0, math.inf)
    assert percentile_interval(np.array([7.0]), 50) == (-math.inf, math.inf)


@pytest.mark.parametrize(("n", "percent"), [(50, 90), (1000, 99), (200, 50)])
def test_interval_covers_the_true_percentile_as_often_as_it_says(n: int, percent: float) -> None:
    rng = np.random.default_rng(1)
    truth = percent / 100  # of the uniform distribution
    hits = 0
    for _ in range(400):
        low, high = percentile_interval(rng.random(n), percent)
        hits += low <= truth <= high
    assert hits / 400 > 0.92


def test_a_large_sample_neither_overflows_nor_vanishes() -> None:
    low, high = percentile_interval(np.linspace(0, 1, 200_000), 99)
    assert 0.9890 < low < 0.99 < high < 0.9910


@pytest.mark.parametrize("percent", [0, 100, -1, 101])
def test_an_interval_of_no_percentile_is_refused_in_words(percent: float) -> None:
    with pytest.raises(ValueError, match=f"needs 0 < percent < 100, not {percent}$"):
        percentile_interval(np.arange(10.0), percent)


@pytest.mark.parametrize("percent", [50, 90, 99])
@pytest.mark.parametrize("count", [1, 3, 64, 100, 368])
def test_so_many_values_over_a_limit_put_the_whole_interval_over_it(count: int, percent: float) -> None:
    def low(over: int) -> float:
        return percentile_interval(np.concatenate((np.zeros(count - over), np.ones(over))), percent)[0]

    over = surely_over(count, percent)
    if over is None:
        assert low(count) == -math.inf
    else:
        assert low(over) == 1.0
        assert low(over - 1) < 1.0


@pytest.mark.parametrize(("percent", "fewest"), [(50, 6), (90, 36), (10, 36), (99, 368)])
def test_an_interval_has_both_ends_from_as_many_values_on_as_it_says(percent: float, fewest: int) -> None:
    for count in (fewest - 1, fewest):
        low, high = percentile_interval(np.arange(count, dtype=np.float64), percent)
        assert has_both_ends(count, percent) is bool(np.isfinite(low) and np.isfinite(high)) is (count == fewest)
