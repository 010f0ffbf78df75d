"""Which Configs there are: what is counted, drawn and listed, and what is said where there is none."""

from __future__ import annotations

import random
from typing import Any

import pytest

from autotuner.errors import SpaceError
from autotuner.space import Config, SearchSpace, _grid_count, read_space
from autotuner.space._grid_count import tally_grid
from autotuner.space.expression import Constraint
from autotuner.space.parameters import Choice


def space(parameters: dict[str, Any], *constraints: str | Constraint, **conditions: str) -> SearchSpace:
    return read_space(parameters, conditions, constraints)


def refused(found: SearchSpace) -> str:
    with pytest.raises(SpaceError) as caught:
        found.count()
    return caught.value.message


def numbers(high: int) -> dict[str, list[int]]:
    return {"int": [1, high]}


def test_what_each_constraint_rejects_is_summed_over_all_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    found = space({"a": [1, 2, 3, 4], "b": [1, 2, 3], "c": [1, 2]}, "a > 2", "b != 2")
    whole = tally_grid(found.parameters, found.constraints)
    assert (whole.points, whole.kept, whole.rejected) == (24, 8, (12, 8))
    monkeypatch.setattr(_grid_count, "_BLOCK_POINTS", 5)
    assert tally_grid(found.parameters, found.constraints) == whole


# ── what it has ───────────────────────────────────────────────────────────────────────────────


def test_a_parameter_is_found_by_its_name() -> None:
    found = space({"a": [1], "b": [2]})
    assert found["b"].name == "b"
    with pytest.raises(KeyError):
        found["c"]


def test_a_config_has_what_exists_for_its_values_each_at_a_value_of_its_own() -> None:
    found = space({"a": [1, 2], "b": [1, 2]}, "a + b < 4", b="a == 2")
    assert found.contains(Config({"a": 1}))
    assert found.contains(Config({"a": 2, "b": 1}))
    others: list[dict[str, Any]] = [
        {},
        {"a": 2},
        {"a": 1, "b": 1},
        {"a": 2, "b": 2},
        {"a": 2, "b": 3},
        {"a": 1, "c": 1},
    ]
    assert [values for values in others if found.contains(Config(values))] == []
    assert found.violated(Config({"a": 2, "b": 2})) == "a + b < 4"
    assert [p.name for p in found.active({"a": 2})] == ["a", "b"]
    assert [p.name for p in found.active({"b": 2})] == ["a"], "what is not told makes nothing exist"


@pytest.mark.parametrize(
    ("parameters", "points"),
    [({}, 1), ({"a": [1, 2], "b": numbers(5)}, 10), ({"a": [1, 2], "b": {"float": [0, 1]}}, None)],
)
def test_raw_points_are_counted_before_anything_is_ruled_out(parameters: dict[str, Any], points: int | None) -> None:
    assert space(parameters, *(["a > 1"] if parameters else [])).raw_points == points


# ── counts ────────────────────────────────────────────────────────────────────────────────────


def test_up_to_ten_million_points_a_count_is_exact() -> None:
    at_the_limit = space({"a": numbers(10_000), "b": numbers(1000)}, "a > b").count()
    assert (at_the_limit.number, at_the_limit.exact) == (10_000_000 - 1000 * 1001 // 2, True)
    beyond = space({"a": numbers(10_001), "b": numbers(1000)}, "a > b").count()
    assert not beyond.exact


def test_a_count_tells_the_share_of_points_that_are_kept() -> None:
    found = space({"a": numbers(10)}, "a > 3").count()
    assert (found.number, found.exact, found.raw, found.kept_fraction) == (7, True, 10, 0.7)


def test_points_that_differ_in_what_is_absent_are_one_config() -> None:
    assert space({"a": [1, 2], "b": [1, 2, 3]}, b="a == 2").count().number == 1 + 3
    assert space({"a": [1, 2], "b": [1, 2, 3], "c": [1, 2]}, "b != 2", b="a == 2", c="b > 1").count().number == 1 + 3


def test_a_large_space_is_counted_by_the_values_that_parameters_depend_on() -> None:
    """Each engine's own part is small enough to be listed."""
    large = {"e": ["x", "y"], "a": numbers(3000), "b": numbers(3000), "c": [1]}
    found = space(large, "a > 1000", "b > 2000", a="e == 'x'", b="e == 'y'").count()
    assert (found.number, found.exact, found.raw) == (2000 + 1000, True, 18_000_000)
    assert found.kept_fraction == pytest.approx((2000 + 1000) / 6000)


def test_a_part_that_has_no_config_counts_for_nothing() -> None:
    large = {"e": ["x", "y", "z"], "a": numbers(3000), "b": numbers(3000), "c": numbers(2)}
    found = space(large, "a > 9999", "b > 2999", a="e == 'x'", b="e == 'y'", c="e == 'z'").count()
    assert (found.number, found.exact) == (1 + 2, True)


def test_a_part_that_is_large_itself_is_estimated() -> None:
    large = {"e": ["x", "y"], "a": numbers(4000), "b": numbers(4000), "c": [1, 2]}
    found = space(large, "a != 1", a="e == 'x'", b="e == 'x'", c="e == 'y'").count()
    assert not found.exact
    assert found.number == pytest.approx(3999 * 4000 + 2, rel=0.01)


def test_a_choice_that_leaves_any_part_whole_cuts_nothing() -> None:
    """With e = 'y' every parameter is there: the whole is estimated."""
    large = {"e": ["x", "y"], "a": numbers(4000), "b": numbers(4000)}
    found = space(large, a="e == 'y'", b="e == 'y'").count()
    assert not found.exact
    assert found.number == pytest.approx(1 + 4000 * 4000, rel=0.01)


# ── drawn and listed ──────────────────────────────────────────────────────────────────────────


def test_few_configs_among_many_points_are_drawn_alike_often() -> None:
    found = space({"a": numbers(300), "b": numbers(300)}, "a + b >= 599")
    drawn = [tuple(found.sample(random.Random(seed)).values.values()) for seed in range(60)]
    assert set(drawn) == {(299, 300), (300, 299), (300, 300)}


def test_what_is_listed_leaves_out_what_is_absent() -> None:
    found = space({"e": ["x", "y"], "a": numbers(500), "b": numbers(500)}, "e == 'x'", "a == 500", b="e == 'y'")
    assert found.sample(random.Random(1)) == Config({"e": "x", "a": 500})


def test_nothing_that_is_drawn_at_random_in_an_endless_space_is_refused_in_words() -> None:
    found = space({"a": {"float": [0, 1]}}, "a > 2", Constraint("a >= 0", "k"))
    with pytest.raises(SpaceError) as caught:
        found.sample(random.Random(0))
    assert caught.value.message == (
        "space.constraints.0: no Config meets the constraints: none of 10,000 drawn at random does; "
        "'a > 2' rejects all of them"
    )


def test_a_grid_lists_the_last_parameter_fastest_and_needs_steps() -> None:
    found = space({"a": [1, 2], "b": {"float": [0.1, 0.2], "step": 0.1}}, "a * b < 0.4")
    assert [tuple(config.values.values()) for config in found.grid()] == [(1, 0.1), (1, 0.2), (2, 0.1)]
    with pytest.raises(SpaceError, match="a grid needs a step for a range of floats") as caught:
        space({"a": {"float": [0, 1]}}).grid()
    assert (caught.value.key, caught.value.value) == ("space.parameters.a", [0, 1])
    assert [c.values["a"] for c in space({"a": {"float": [2, 2]}}).grid()] == [2]


def test_a_constraint_that_names_no_parameter_is_judged_too() -> None:
    assert not read_space({"a": [1, 2]}, constraints=["n > 1"], fixed={"n": 1}).has_configs()
    assert list(read_space({"a": [1, 2]}, constraints=["n > 1"], fixed={"n": 1}).grid()) == []
    assert read_space({}, constraints=["n > 1"], fixed={"n": 2}).count().number == 1


# ── values that some Config has ───────────────────────────────────────────────────────────────


def test_values_taken_are_those_of_some_config_of_parameters_that_are_always_there() -> None:
    found = space({"a": [1, 2, 3], "b": [1, 2, 3], "c": [1, 2]}, "a + b > 4", c="a == 2")
    assert found.values_taken() == {"a": {1, 2}, "b": {1, 2}}


@pytest.mark.parametrize(
    ("parameters", "listed"),
    [
        ({}, False),
        ({"a": numbers(1000), "b": numbers(1000)}, True),
        ({"a": numbers(1001), "b": numbers(1000)}, False),
        ({"a": {"float": [0, 1]}}, False),
    ],
)
def test_a_space_of_up_to_a_million_points_is_listed_for_it(parameters: dict[str, Any], listed: bool) -> None:
    assert bool(space(parameters).values_taken()) is listed


def test_why_no_config_has_a_value_is_the_constraint_to_blame() -> None:
    found = space({"a": [1, 2], "b": [1, 2]}, "a + b != 4", "a == 1 or b == 2")
    choice = found["a"]
    assert isinstance(choice, Choice)
    assert "'a + b != 4' (space.constraints.0) and 'a == 1 or b == 2'" in found.why_none_has(choice, 1)
    assert found.why_none_has(choice, 0) == ""


# ── what is to blame ──────────────────────────────────────────────────────────────────────────


def test_the_one_constraint_that_rejects_all_is_told_with_its_reason() -> None:
    found = space({"a": numbers(10)}, "a > 3", Constraint("a > 99", "model.id", "it is too large"))
    assert refused(found) == (
        "model.id: no Config meets the constraints: not one of 10 does; 'a > 99' rejects all of them: it is too large"
    )


def test_those_that_reject_all_together_are_told_with_each_reason_once() -> None:
    """The study's own comes first, then those that reject most."""
    low = Constraint("a >= 5", "engine", "not five")
    high = Constraint("a <= 5", "model.id", "not five")
    found = space({"a": numbers(10)}, low, high, "a != 5", "a < 99")
    assert refused(found) == (
        "space.constraints.2: no Config meets the constraints: not one of 10 does; 'a != 5' (space.constraints.2), "
        "'a <= 5' (model.id) and 'a >= 5' (engine) reject all of them together: not five"
    )


def test_what_rejects_all_of_a_sample_is_told_though_a_config_may_be_there() -> None:
    message = refused(space({"a": numbers(10**6), "b": numbers(10**6)}, "a == 77", "b == 77"))
    assert message == (
        "space.constraints.0: no Config meets the constraints: none of 65,536 drawn at random does; "
        "'a == 77' rejects all of them"
    )


def test_what_rejects_most_is_told_where_a_larger_sample_finds_a_config() -> None:
    found = space({"a": {"float": [0, 1]}, "b": {"float": [0, 1]}}, "a < 0.01", "b < 0.005")
    with pytest.raises(SpaceError, match=r"none of 10,000 drawn at random does; 'b < 0.005' rejects most, 99\.\d%"):
        found.sample(random.Random(3))


# ── all of it ─────────────────────────────────────────────────────────────────────────────────


def test_every_config_is_listed_where_there_are_few() -> None:
    found = space({"a": numbers(6), "b": ["x", "y"], "c": numbers(3)}, "a * c < 12", c="b == 'y'")
    every = list(found.grid())
    assert found.listed(len(every)) == every
    assert found.listed(len(every) - 1) is None


def test_an_endless_space_is_not_listed() -> None:
    assert space({"a": {"float": [0.0, 1.0]}}).listed(10**9) is None
    assert space({name: numbers(100) for name in "abcd"}).listed(10**9) is None, "10^8 raw points"
