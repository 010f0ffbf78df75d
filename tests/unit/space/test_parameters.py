"""Ranges and choices: their values, and where draws and roundings fall."""

from __future__ import annotations

import math
from typing import Any

import pytest

from autotuner.errors import SpaceError
from autotuner.space import Choice, FloatRange, IntRange, read_space
from autotuner.space.parameters import Parameter


def read(given: Any) -> Parameter:
    return read_space({"x": given})["x"]


WHOLE = IntRange(name="x", low=3, high=11, step=4)  # 3, 7, 11
STEPS = FloatRange(name="x", low=0.1, high=0.3, step=0.1)
ENDLESS = FloatRange(name="x", low=1.0, high=9.0)
LOG = IntRange(name="x", low=1, high=100, log=True)
LABELLED = Choice(name="x", options=(None, {"a": 1}), labels=("none", "some"))


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        (WHOLE, [3, 7, 11]),
        (STEPS, [0.1, 0.2, 0.3]),
        (FloatRange(name="x", low=2.0, high=2.0), [2.0]),
        (LABELLED, [None, {"a": 1}]),
    ],
)
def test_values_by_their_place(parameter: Parameter, values: list[Any]) -> None:
    assert parameter.size == len(values)
    assert list(parameter.values()) == values == [parameter.value_at(index) for index in range(len(values))]
    assert all(map(parameter.contains, values))


def test_a_range_of_numbers_without_a_step_has_no_end_of_values() -> None:
    assert ENDLESS.size is None
    assert list(ENDLESS.values()) == []


@pytest.mark.parametrize(
    ("parameter", "fraction", "drawn"),
    [
        (WHOLE, 0.0, 3),
        (WHOLE, 0.33, 3),
        (WHOLE, 0.34, 7),
        (WHOLE, 0.67, 11),
        (WHOLE, 1.0, 11),
        (STEPS, 0.34, 0.2),
        (STEPS, 1.0, 0.3),
        (ENDLESS, 0.0, 1.0),
        (ENDLESS, 0.25, 3.0),
        (ENDLESS, 1.0, 9.0),
        (FloatRange(name="x", low=1.0, high=100.0, log=True), 0.5, 10.0),
        (FloatRange(name="x", low=1.0, high=100.0, log=True), 1.0, 100.0),
        (LOG, 0.0, 1),
        (LOG, 1.0, 100),
        (LOG, math.log(20 / 0.5) / math.log(100.5 / 0.5), 20),
        (LABELLED, 0.49, None),
        (LABELLED, 0.5, {"a": 1}),
        (LABELLED, 1.0, {"a": 1}),
    ],
)
def test_a_draw_is_the_value_at_its_fraction(parameter: Parameter, fraction: float, drawn: Any) -> None:
    found = parameter.draw(fraction)
    assert found == (pytest.approx(drawn) if isinstance(drawn, float) else drawn)


def test_ends_of_a_log_range_are_drawn_as_often_as_their_neighbours() -> None:
    """From half below to half above: of 1 to 3, one has log(1.5 / 0.5) of log(3.5 / 0.5)."""
    parameter = IntRange(name="x", low=1, high=3, log=True)
    drawn = [parameter.draw((n + 0.5) / 10_000) for n in range(10_000)]
    shares = [drawn.count(value) / 10_000 for value in (1, 2, 3)]
    whole = math.log(3.5 / 0.5)
    expected = [math.log(1.5 / 0.5) / whole, math.log(2.5 / 1.5) / whole, math.log(3.5 / 2.5) / whole]
    assert shares == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("parameter", "value", "nearest"),
    [
        (WHOLE, -9, 3),
        (WHOLE, 4.9, 3),
        (WHOLE, 5.1, 7),
        (WHOLE, 99, 11),
        (STEPS, 0.0, 0.1),
        (STEPS, 0.24, 0.2),
        (STEPS, 0.26, 0.3),
        (STEPS, 9.0, 0.3),
        (ENDLESS, 0.0, 1.0),
        (ENDLESS, 5.5, 5.5),
        (ENDLESS, 99.0, 9.0),
        (FloatRange(name="x", low=2.0, high=2.0), 5.0, 2.0),
    ],
)
def test_the_nearest_value(parameter: IntRange | FloatRange, value: float, nearest: float) -> None:
    assert parameter.nearest(value) == nearest


@pytest.mark.parametrize(
    ("parameter", "others"),
    [
        (WHOLE, [2, 4, 12, 15, -1, 7.0, True, "3", None]),
        (STEPS, [0.0, 0.15, 0.4, "0.1", True, None]),
        (ENDLESS, [0.9, 9.1, True, None, "2"]),
        (LABELLED, ["none", "some", {"a": 2}, 5, {1, 2}, object()]),
    ],
)
def test_what_is_no_value(parameter: Parameter, others: list[Any]) -> None:
    assert [other for other in others if parameter.contains(other)] == []


def test_ends_and_whole_numbers_are_values_of_a_range_of_numbers() -> None:
    assert all(map(ENDLESS.contains, (1.0, 9.0, 5, 5.5)))


def test_labels_and_values_stand_for_one_another_in_a_choice() -> None:
    assert LABELLED.value_of("some") == {"a": 1}
    assert [LABELLED.label_of(value) for value in LABELLED.options] == ["none", "some"]
    both = Choice(name="x", options=({"a": 1, "b": 2},), labels=("one",))
    assert both.label_of({"b": 2, "a": 1}) == "one", "whatever the order of its keys"


def test_expressions_see_labels_where_any_value_is_a_map_or_a_list_else_the_values() -> None:
    assert LABELLED.is_opaque
    assert [LABELLED.in_expressions(value) for value in (None, {"a": 1}, "other")] == ["none", "some", None]
    listed = Choice(name="x", options=([1], 2), labels=("l", "m"))
    assert [listed.in_expressions(value) for value in listed.options] == ["l", "m"]
    plain = Choice(name="x", options=(True, 2, "t", None), labels=("true", "2", "t", "null"))
    assert not plain.is_opaque
    assert [plain.in_expressions(value) for value in plain.options] == [True, 2, "t", None]
    assert plain.in_expressions([1]) is None


# ── how they are read ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "parameter"),
    [
        ({"int": [3, 3]}, IntRange(name="x", low=3, high=3)),
        ({"int": [3, 14], "step": 4}, WHOLE),
        ({"int": [-5, 5], "step": 5}, IntRange(name="x", low=-5, high=5, step=5)),
        ({"int": [1, 100], "log": True}, LOG),
        ({"int": [1, 100], "log": True, "step": 1}, LOG),
        ({"int": [0, 5], "log": False}, IntRange(name="x", low=0, high=5)),
        ({"float": [0.1, 0.39], "step": 0.1}, STEPS),
        ({"float": [1, 9]}, ENDLESS),
        ({"float": [0.1, 1], "log": True}, FloatRange(name="x", low=0.1, high=1.0, log=True)),
        ([1, "1"], Choice(name="x", options=(1, "1"), labels=("1", '"1"'))),
        ([1.5, "a", None], Choice(name="x", options=(1.5, "a", None), labels=("1.5", "a", "null"))),
        ({"choices": [1, 2]}, Choice(name="x", options=(1, 2), labels=("1", "2"))),
        ({"choices": {"none": None, "some": {"a": 1}}}, LABELLED),
    ],
)
def test_each_form(given: Any, parameter: Parameter) -> None:
    assert read(given) == parameter


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (5, "space.parameters.x: 5: a list of values, {int: [low, high]}, {float: [low, high]} or {choices: "
            "{label: value}}; a fixed value belongs in engine.args"),
        ("text", "space.parameters.x: 'text': a list of values, {int: [low, high]}, {float: [low, high]} or "
                 "{choices: {label: value}}"),
        ({"ints": [1, 2]}, "did you mean 'int'?"),
        ({"int": [1, 2], "choices": [1]}, "or {choices: {label: value}}"),
        ({"choices": [1], "log": True}, "space.parameters.x.log: True: unknown key"),
        ([1, float("nan")], "space.parameters.x: nan: finite numbers"),
        ({"choices": {"a": float("inf")}}, "space.parameters.x.choices: inf: finite numbers"),
        ({"choices": {"a": {"b": float("inf")}}}, "texts, finite numbers, true, false, null, and maps and lists"),
        ({"choices": {"a": [1], "b": [1]}}, "each value once"),
        ({"int": [1, 2, 3]}, "two finite numbers [low, high]"),
        ({"int": [1.0, 2]}, "two whole numbers"),
        ({"int": [1, 10**400]}, "two finite numbers [low, high]"),
        ({"int": [1, 9], "step": True}, "a whole number from 1"),
        ({"int": [1, 9], "step": 1.5}, "a whole number from 1"),
        ({"float": [1, 9], "step": True}, "a number above 0"),
        ({"float": [1, 9], "step": 0}, "a number above 0"),
        ({"float": [0, 9], "log": True}, "a range on a log scale starts above 0, not at 0"),
        ({"float": [1, 9], "log": True, "step": 0.1}, "a range on a log scale has no step"),
    ],
)  # fmt: skip
def test_what_is_refused_says_why(given: Any, told: str) -> None:
    with pytest.raises(SpaceError) as caught:
        read(given)
    assert told in caught.value.message
    assert ("did you mean" in caught.value.message) is ("did you mean" in told)
