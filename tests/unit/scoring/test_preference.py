"""The knee of a front, and the point of it that somebody prefers."""

from __future__ import annotations

import pytest

from autotuner.errors import InputError
from autotuner.metrics.direction import Direction
from autotuner.scoring.preference import knee, parse_preference, preferred, weights_text

UP, DOWN = Direction.MAX, Direction.MIN
FRONT = [(100.0, 50.0), (180.0, 60.0), (200.0, 150.0)]  # throughput, latency


# ── the knee ──────────────────────────────────────────────────────────────────────────────────


def test_the_knee_is_farthest_from_the_line_through_the_ends() -> None:
    assert knee(FRONT, (UP, DOWN)) == 1
    assert knee([(-y, -x) for x, y in FRONT], (UP, DOWN)) == 1
    assert knee([(x * 1e6, y * 1e-3) for x, y in FRONT], (UP, DOWN)) == 1  # units don't matter


def test_a_front_that_gains_and_loses_at_one_rate_or_bends_inwards_has_no_knee() -> None:
    assert knee([(1, 1), (2, 2), (3, 3)], (UP, DOWN)) is None
    assert knee([(1, 1), (1.2, 2), (3, 3)], (UP, DOWN)) is None


def test_a_front_without_an_extent_has_no_knee() -> None:
    assert knee([], (UP, DOWN)) is None
    assert knee([(1, 1)], (UP, DOWN)) is None
    assert knee([(1, 1), (2, 1)], (UP, DOWN)) is None
    assert knee([(1.0,), (2.0,)], (UP,)) is None


def test_of_three_objectives_the_knee_is_beyond_the_best_of_each() -> None:
    ends = [(3, 1, 1), (1, 3, 1), (1, 1, 3)]
    assert knee([*ends, (2, 2, 2)], (UP, UP, UP)) == 3
    assert knee([*ends, (1.2, 1.2, 1.2)], (UP, UP, UP)) is None
    # An end that is good at the others as well is no reason to call the next best a knee.
    assert knee([(3, 2.9, 1), (1, 3, 1), (1, 1, 3), (2, 2, 1.2)], (UP, UP, UP)) is None


# ── what is preferred ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("weights", "chosen"), [((1, 0), 2), ((0, 1), 0), ((1, 1), 1), ((1, 10), 0), ((10, 1), 2)])
def test_what_is_worth_more_weighs_more(weights: tuple[float, float], chosen: int) -> None:
    assert preferred(FRONT, (UP, DOWN), weights) == chosen
    assert preferred([(x * 1e3, y / 60) for x, y in FRONT], (UP, DOWN), weights) == chosen


def test_a_per_cent_of_weight_two_is_worth_two_of_weight_one() -> None:
    base, more = (100.0, 100.0), (101.0, 101.9)
    assert preferred([base, more], (UP, DOWN), (2, 1)) == 1
    assert preferred([base, (101.0, 102.1)], (UP, DOWN), (2, 1)) == 0


def test_a_value_of_nothing_is_no_infinite_good() -> None:
    assert preferred([(0.0, 1.0), (5.0, 1.0)], (UP, DOWN), (1, 1)) == 1
    assert preferred([(0.0, 1.0), (0.0, 0.5)], (UP, DOWN), (1, 1)) == 1


# ── how it is said ────────────────────────────────────────────────────────────────────────────

NAMES = ("throughput", "ttft_p90", "ttft_p99", "cost_per_mtok")


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("throughput=2,ttft_p90=1", {"throughput": 2, "ttft_p90": 1}),
        (" cost = 0.5 , throughput", {"cost_per_mtok": 0.5, "throughput": 1}),
        ("throughput=0,ttft_p99=3", {"ttft_p99": 3}),
    ],
)
def test_weights_by_name_or_the_only_one_that_begins_so(text: str, weights: dict[str, float]) -> None:
    found = parse_preference(text, NAMES)
    assert found == dict.fromkeys(NAMES, 0.0) | weights
    assert parse_preference(weights_text(found), NAMES) == found


@pytest.mark.parametrize(
    ("text", "rule", "nearest"),
    [
        ("troughput=2", "one of throughput, ttft_p90, ttft_p99, cost_per_mtok", "throughput"),
        ("ttft=1", "one of ttft_p90, ttft_p99", "ttft_p99"),
        ("thr=1", "one of throughput, ttft_p90, ttft_p99, cost_per_mtok", "throughput"),
        ("throughput=fast", "objectives of the study and how much", None),
        ("throughput=-1", "weights of 0 and above", None),
        ("throughput=inf", "weights of 0 and above", None),
        ("throughput=0", "a weight above 0", None),
        ("throughput=1,throughput=2", "each objective once", None),
    ],
)
def test_what_says_nothing_of_the_objectives_is_refused(text: str, rule: str, nearest: str | None) -> None:
    with pytest.raises(InputError) as caught:
        parse_preference(text, NAMES)
    assert (caught.value.key, caught.value.value, caught.value.nearest) == ("prefer", text, nearest)
    assert rule in str(caught.value.rule)


def test_one_objective_leaves_nothing_to_prefer() -> None:
    with pytest.raises(InputError, match="several objectives"):
        parse_preference("throughput=1", ["throughput"])
