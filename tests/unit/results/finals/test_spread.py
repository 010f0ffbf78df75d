"""By how much runs of one Config differ, worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from autotuner.results.finals.spread import Spread, pooled_spread
from tests.finals_parts import DEFAULT, finals


def is_about(found: Spread | None, deviation: float, freedom: int) -> bool:
    return found is not None and found.freedom == freedom and found.deviation == pytest.approx(deviation, abs=1e-12)


def test_without_a_repeat_nothing_is_known() -> None:
    assert pooled_spread({"a": [1.0], "b": [2.0]}, {}) is None
    assert pooled_spread({}, {"a": {1: 1.0}, "b": {1: 2.0}}) is None
    assert pooled_spread({}, {"a": {}, "b": {}}) is None


def test_a_run_in_the_search_and_a_fresh_one_are_two_of_the_same() -> None:
    """The variance of two values is half the square of their difference; two such are pooled."""
    found = pooled_spread({"a": [1.0], "b": [5.0]}, {"a": {1: 1.2}, "b": {1: 4.6}})
    assert found is not None
    assert found.freedom == 2
    assert found.deviation == pytest.approx(math.sqrt((0.2**2 / 2 + 0.4**2 / 2) / 2))


def test_what_all_of_a_round_share_is_no_spread_between_rounds() -> None:
    drifting = {"a": {1: 1.0, 2: 1.5, 3: 0.2}, "b": {1: 2.0, 2: 2.5, 3: 1.2}}
    assert is_about(pooled_spread({}, drifting), 0.0, 2)


def test_of_two_rounds_of_two_what_is_left_is_a_quarter_of_the_interaction() -> None:
    found = pooled_spread({}, {"a": {1: 1.0, 2: 1.2}, "b": {1: 2.0, 2: 2.0}})
    assert is_about(found, math.sqrt(0.2**2 / 4), 1)


def test_a_search_run_is_off_the_mean_of_the_rounds_by_more_than_one_runs_variance() -> None:
    """Of n rounds the mean has the variance of one over n, so that the difference has 1 + 1/n."""
    found = pooled_spread({"a": [2.0]}, {"a": {1: 1.0, 2: 1.0}})
    assert is_about(found, math.sqrt(1 / 1.5), 1)


def test_runs_alone_are_repeats_of_one_another_and_their_mean_of_the_rounds() -> None:
    """Of 1.0 and 1.2: 0.02 with one degree of freedom; of their mean, 1.1, and 1.4: 0.09 over 1/2 + 1, another one."""
    assert is_about(pooled_spread({"a": [1.0, 1.2]}, {}), math.sqrt(0.02), 1)
    assert is_about(pooled_spread({"a": [1.0, 1.2]}, {"a": {1: 1.4}}), math.sqrt((0.02 + 0.09 / 1.5) / 2), 2)


def test_runs_that_are_missing_cost_freedom_and_nothing_else() -> None:
    found = pooled_spread({}, {"a": {1: 1.0, 2: 1.2, 3: 9.0}, "b": {1: 2.0, 2: 2.0}})
    assert is_about(found, math.sqrt(0.2**2 / 4), 1), "round 3 has one value alone"


def test_the_interval_is_students() -> None:
    """t(0.975, 4) = 2.776445 (Student's table)."""
    assert Spread(0.1, 4).half_width(2, 0.95) == pytest.approx(2.776445 * 0.1, rel=1e-6)
    assert Spread(0.1, 4).half_width(8, 0.95) == pytest.approx(2.776445 * 0.05, rel=1e-6)


def test_how_likely_more_is_is_students_too() -> None:
    assert Spread(0.1, 4).exceeds(2.776445, 1.0) == pytest.approx(0.025, rel=1e-5)
    assert Spread(0.0, 4).exceeds(0.1, 0.0) == 0
    assert Spread(0.0, 4).exceeds(-0.1, 0.0) == 1


def test_what_is_measured_in_coarse_steps_differs_by_less_than_a_step_at_the_least() -> None:
    alike = finals({"0001": [105.0], DEFAULT: [100.0]}, {"0001": 105.0, DEFAULT: 100.0})
    exact, coarse = alike.spread, replace(alike, step=0.05).spread
    assert exact is not None
    assert coarse is not None
    assert (exact.deviation, exact.freedom) == (0.0, coarse.freedom)
    assert coarse.deviation == pytest.approx(math.log(1.05) / math.sqrt(12))
    clear, unclear = alike.gain("0001"), replace(alike, step=0.05).gain("0001")
    assert clear is not None
    assert unclear is not None
    assert clear.is_clear
    assert not unclear.is_clear, "one step is within what rounding takes"


def test_steps_that_are_finer_than_the_noise_add_nothing_to_it() -> None:
    noisy = finals({"0001": [105.0, 130.0], DEFAULT: [100.0, 90.0]}, {"0001": 105.0, DEFAULT: 100.0})
    assert replace(noisy, step=0.05).spread == noisy.spread
