"""The loads that a search may ask for."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotuner.benchmark.traffic.ladder import ladder
from autotuner.metrics import LoadKind
from autotuner.study.model import FindMaxLoad


def loads(kind: str, first: float, last: float) -> list[float]:
    found = ladder(FindMaxLoad.model_validate({"find_max": kind, "from": first, "up_to": last}))
    assert {level.kind for level in found} == {LoadKind(kind)}
    return [level.value for level in found]


def test_few_requests_in_flight_are_told_apart_one_by_one() -> None:
    assert loads("concurrency", 1, 8) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert loads("concurrency", 38, 50) == [38, 39, 40, 42, 44, 46, 48, 50]


def test_a_rate_has_steps_of_five_percent_in_few_digits() -> None:
    assert loads("rate", 1, 1.4) == [1, 1.05, 1.1, 1.15, 1.2, 1.26, 1.32, 1.38, 1.4]


@pytest.mark.parametrize("kind", ["concurrency", "rate"])
def test_every_doubling_of_the_first_is_there(kind: str) -> None:
    assert {3 * 2**k for k in range(8)} <= set(loads(kind, 3, 400))


@given(first=st.floats(0.01, 500), factor=st.floats(1.01, 3000))
def test_steps_of_a_rate_rise_by_no_more_than_five_percent(first: float, factor: float) -> None:
    found = loads("rate", first, min(first * factor, 1_000_000))
    assert found[0] == first
    assert found[-1] == min(first * factor, 1_000_000)
    assert all(a < b <= a * 1.05 * (1 + 1e-9) for a, b in pairwise(found))
    assert len({f"{load:g}" for load in found[1:-1]}) == len(found[1:-1])  # levels are known by such texts


@given(first=st.integers(1, 5000), more=st.integers(1, 100_000))
def test_steps_in_flight_are_whole_and_by_one_or_five_percent(first: int, more: int) -> None:
    found = loads("concurrency", first, first + more)
    assert (found[0], found[-1]) == (first, first + more)
    assert all(b == int(b) and a < b <= max(a + 1, a * 1.05) for a, b in pairwise(found))
