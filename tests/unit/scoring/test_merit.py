"""The numbers that searchers are told, worked out by hand from the formulae, and the order that they keep."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from autotuner.scoring import Direction, Grade, Merit, told_value
from autotuner.scoring.merit import Select, make_merit, summed_excess

MAX, MIN = Direction.MAX, Direction.MIN


def meets(value: float, direction: Direction) -> float:
    return make_merit([(value, 0.0)], direction, "slo_met", feasible=True).told


@pytest.mark.parametrize(
    ("value", "direction", "told"),
    [
        (1000.0, MAX, math.log(1 + 1e6)),  # log(1 + e^x) of x = log(1e3) + log(1000)
        (1e-3, MAX, math.log(2)),
        (1e-6, MAX, math.log(1.001)),
        (100.0, MIN, math.log(1 + 1e4)),  # x = log(1e6) − log(100)
        (1e6, MIN, math.log(2)),
        (1e9, MIN, math.log(1.001)),
        (0.0, MAX, 1e-17),  # as 1e-20 would be
        (1e40, MAX, math.log(1e32)),  # as 1e29 would be
    ],
)
def test_what_meets_the_slos_is_told_by_its_logarithm_always_above_0(
    value: float, direction: Direction, told: float
) -> None:
    assert meets(value, direction) == pytest.approx(told, rel=1e-9)


@pytest.mark.parametrize(
    ("excess", "told"), [(math.e - 1, -2.0), (0.5, -1 - math.log(1.5)), (1e300, -41.0), (math.expm1(40) * 1.1, -41.0)]
)
def test_what_violates_them_is_told_by_its_excess_from_minus_1_to_minus_41(excess: float, told: float) -> None:
    merit = make_merit([(5.0, excess)], MAX, "slo_met", feasible=True)
    assert (merit.grade, merit.infeasibility) == (Grade.VIOLATING, 0)
    assert merit.told == pytest.approx(told)


@pytest.mark.parametrize(("excess", "told"), [(0.0, -42.0), (math.e - 1, -43.0), (1e300, -82.0)])
def test_what_is_infeasible_is_told_from_minus_42_to_minus_82(excess: float, told: float) -> None:
    merit = make_merit([(5.0, excess)], MAX, "slo_met", feasible=False)
    assert merit == Merit(Grade.INFEASIBLE, -excess, 0.0), "its value counts for nothing"
    assert merit.told == pytest.approx(told)
    assert merit.infeasibility == pytest.approx(-41 - told), "1 and more"


def test_nothing_is_told_as_worse_than_all_else() -> None:
    nothing = make_merit([], MAX, "slo_met", feasible=True)
    assert nothing == Merit() == Merit(Grade.NOTHING, 0.0, 0.0)
    assert (nothing.grade, nothing.told, nothing.infeasibility) == (Grade.NOTHING, -83.0, 42.0)


@pytest.mark.parametrize(("direction", "told"), [(MAX, -83.0), (MIN, 83.0)])
def test_a_sampler_that_minimises_is_told_the_negative(direction: Direction, told: float) -> None:
    assert told_value(Merit(), direction) == told


def test_the_grade_counts_before_the_nearness_and_that_before_the_value() -> None:
    ordered = [
        Merit(),
        Merit(Grade.INFEASIBLE, -9.0, 99.0),
        Merit(Grade.INFEASIBLE, -1.0, 0.0),
        Merit(Grade.VIOLATING, -9.0, 99.0),
        Merit(Grade.VIOLATING, -1.0, 1.0),
        Merit(Grade.VIOLATING, -1.0, 2.0),
        Merit(Grade.MEETING, 0.0, 0.0),
    ]
    assert all(a < b for a, b in pairwise(ordered))


# ── where the SLOs are asked to be ignored ────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("points", "direction", "good"),
    [
        ([(8.0, 0.0)], MAX, math.log(1e3 * 8)),
        ([(8.0, math.log(4))], MAX, math.log(1e3 * 8 / 4)),
        ([(8.0, math.log(4)), (6.0, 0.0)], MAX, math.log(1e3 * (2 + 6) / 2)),
        ([(8.0, 0.0)], MIN, math.log(1e6 / 8)),
        ([(8.0, math.log(4))], MIN, math.log(1e6 / 32)),
        ([(8.0, math.log(4)), (6.0, 0.0)], MIN, math.log(1e6 / ((32 + 6) / 2))),
        ([(None, 0.0)], MAX, math.log(1e3 * 1e-20)),
    ],
)
def test_a_score_ranks_by_its_logarithm_of_several_by_their_means(
    points: list[tuple[float | None, float]], direction: Direction, good: float
) -> None:
    merit = make_merit(points, direction, "score", feasible=True)
    assert (merit.grade, merit.nearness) == (Grade.MEETING, 0)
    assert merit.good == pytest.approx(good)


@pytest.mark.parametrize(
    ("good", "told"), [(3.0, 3.0), (0.0, 0.0), (-0.5, -math.log(1.5)), (1 - math.e, -1.0), (-1e300, -40.0)]
)
def test_a_score_next_to_nothing_is_told_ever_closer_to_its_neighbours(good: float, told: float) -> None:
    assert Merit(Grade.MEETING, 0.0, good).told == pytest.approx(told)


# ── the excess of several terms ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("penalties", "total"),
    [([], 0.0), ([0.0, 0.0], 0.0), ([3.0], 3.0), ([1.0, 2.0, 3.0], 6.0), ([1e-9, 0.0], 1e-9), ([1e15, 1e15], 2e15)],
)
def test_the_excess_of_several_terms_is_that_of_their_summed_penalty(penalties: list[float], total: float) -> None:
    assert summed_excess(math.log1p(penalty) for penalty in penalties) == pytest.approx(math.log1p(total), rel=1e-6)


def test_an_excess_beyond_all_penalties_is_summed_too() -> None:
    assert summed_excess([1e300, 5.0]) == pytest.approx(1e300)
    assert summed_excess([1000.0, 1000.0]) == pytest.approx(1000 + math.log(2))


@pytest.mark.parametrize("select", ["slo_met", "score"])
def test_what_meets_the_slos_is_0_from_them_and_what_violates_them_minus_its_excess(select: Select) -> None:
    met = make_merit([(100.0, 0.0)], Direction.MAX, select, feasible=True)
    assert (met.grade, met.nearness) == (Grade.MEETING, 0.0)
    over = make_merit([(100.0, 0.7)], Direction.MAX, "slo_met", feasible=True)
    assert over.grade is Grade.VIOLATING
    assert over.nearness == pytest.approx(-0.7)
