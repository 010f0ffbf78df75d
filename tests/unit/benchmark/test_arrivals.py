"""When requests are due in open loop, to the number."""

from __future__ import annotations

import pytest

from autotuner.benchmark.traffic.arrivals import (
    REPEAT_OFFSET,
    constant_gaps,
    due_times,
    poisson_gaps,
    trace_gaps,
    warmup_count,
)


def test_constant_gaps_are_even() -> None:
    assert constant_gaps(4.0, 3) == [0.25, 0.25, 0.25]


def test_requests_are_due_one_gap_after_the_other_from_0_on_unless_a_start_is_given() -> None:
    assert due_times([1, 2]) == [1, 3]
    assert due_times([1, 2], 10.0) == [11, 13]
    assert due_times([]) == []


@pytest.mark.parametrize(
    ("rate", "requests", "count"),
    [(10, 100, 20), (10, 40, 10), (0.1, 3, 1), (0.1, 100, 1)],
    ids=["two seconds' worth", "a quarter of the measured", "one at least of few", "one at least of slow"],
)
def test_warm_up_is_two_seconds_worth_and_a_quarter_at_most(rate: float, requests: int, count: int) -> None:
    assert warmup_count(rate, requests) == count


def test_warm_up_takes_the_time_that_it_is_given() -> None:
    assert warmup_count(10, 1000, warmup_s=5.0) == 50


def test_a_trace_is_played_faster_and_begins_anew_one_mean_gap_after_its_end() -> None:
    assert trace_gaps([0.0, 1.0, 4.0], 2.0, 0, 5) == [1.0, 0.5, 1.5, 1.0, 0.5]
    assert trace_gaps([0.0, 1.0, 4.0], 1.0, 2, 2) == [3.0, 2.0], "the rungs are pieces of one process"


def test_a_trace_of_one_line_is_a_request_a_second() -> None:
    assert trace_gaps([5.0], 2.0, 0, 3) == [0.5, 0.5, 0.5]


def test_poisson_gaps_of_later_requests_are_the_next_of_the_same_process() -> None:
    whole = poisson_gaps(2.0, 0, 8, "s")
    assert poisson_gaps(2.0, 0, 3, "s") + poisson_gaps(2.0, 3, 5, "s") == whole
    assert poisson_gaps(2.0, 0, 8, "t") != whole
    assert sum(poisson_gaps(2.0, 0, 4000, "s")) == pytest.approx(2000, rel=0.1)


def test_a_load_point_that_is_measured_once_more_has_arrivals_of_its_own() -> None:
    again = poisson_gaps(2.0, REPEAT_OFFSET, 8, "s")
    assert again != poisson_gaps(2.0, 0, 8, "s")
    assert again[3:] == poisson_gaps(2.0, REPEAT_OFFSET + 3, 5, "s")
