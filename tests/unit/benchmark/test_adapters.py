"""Which adapter each request asks for: evenly, in any order of asking, by index and seed alone."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotuner.benchmark.adapters import ModelChoice

NAMES = ("poet", "clerk", "judge", "cook")


def asked(choice: ModelChoice, count: int, first: int = 0) -> list[str]:
    return [choice.of(index) for index in range(first, first + count)]


def test_without_adapters_every_request_asks_the_served_model() -> None:
    assert set(asked(ModelChoice("base"), 20)) == {"base"}


def test_every_round_has_each_adapter_once_in_an_order_of_its_own() -> None:
    names = asked(ModelChoice("base", NAMES, seed=1), 400)
    rounds = [tuple(names[start : start + 4]) for start in range(0, 400, 4)]
    assert all(sorted(one) == sorted(NAMES) for one in rounds)
    assert len(set(rounds)) > 10


@pytest.mark.parametrize(
    ("share", "adapters", "counts"),
    [
        (0.2, NAMES, {"base": 20, "poet": 20, "clerk": 20, "judge": 20, "cook": 20}),
        (0.5, NAMES[:2], {"base": 50, "poet": 25, "clerk": 25}),
        (0.9, NAMES[:1], {"base": 90, "poet": 10}),
        (0.29, NAMES[:1], {"base": 29, "poet": 71}),
        (0.01, NAMES[:3], {"base": 3, "poet": 99, "clerk": 99, "judge": 99}),
    ],
)
def test_the_base_model_gets_its_share(share: float, adapters: tuple[str, ...], counts: dict[str, int]) -> None:
    assert Counter(asked(ModelChoice("base", adapters, share, seed=3), sum(counts.values()))) == counts


def test_the_seed_alone_changes_the_order() -> None:
    one, same, other = (asked(ModelChoice("base", NAMES, 0.2, seed), 50) for seed in (7, 7, 8))
    assert one == same
    assert one != other


def test_no_adapter_falls_in_step_with_a_dataset() -> None:
    """Four prompts that repeat and four adapters: each prompt meets all of them."""
    choice = ModelChoice("base", NAMES, seed=0)
    met = {(index % 4, choice.of(index)) for index in range(400)}
    assert len(met) == 16


@given(
    adapters=st.integers(1, 12),
    share=st.floats(0, 0.95),
    seed=st.integers(0, 2**31),
    first=st.integers(0, 10_000),
    count=st.integers(1, 300),
)
def test_any_run_of_requests_is_spread_evenly(adapters: int, share: float, seed: int, first: int, count: int) -> None:
    """At most two cut rounds, each of about ``adapters / (1 - share)`` requests, make counts differ."""
    names = tuple(f"a{number}" for number in range(adapters))
    counts = Counter(asked(ModelChoice("base", names, share, seed), count, first))
    of_adapters = [counts[name] for name in names]
    assert max(of_adapters) - min(of_adapters) <= 5
    round_size = adapters / (1 - share) + 0.5
    assert abs(counts["base"] - share * count) <= 2 * (round_size * share + 1) + 1
