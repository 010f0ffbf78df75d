"""Expressions against Python's own evaluation, and the vectorised against the scalar one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from autotuner.errors import SpaceError
from autotuner.space import Expression
from autotuner.space._vector import Coder

NUMBERS = ("a", "b", "c_1")
PYTHON = {
    "min": min,
    "max": max,
    "abs": abs,
    "ceil": math.ceil,
    "floor": math.floor,
    "log2": math.log2,
    "__builtins__": {},
    "null": None,
    "true": True,
    "false": False,
}


def numeric(depth: int) -> st.SearchStrategy[str]:
    leaf = st.sampled_from(NUMBERS) | st.integers(0, 9).map(str) | st.sampled_from(["0.5", "2.25"])
    if depth == 0:
        return leaf
    inner = numeric(depth - 1)
    return (
        leaf
        | st.builds("({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner)
        | st.builds("{} ** {}".format, st.sampled_from(NUMBERS), st.integers(0, 3))
        | st.builds("-{}".format, inner)
        | st.builds("{}({})".format, st.sampled_from(["abs", "ceil", "floor", "log2"]), inner)
        | st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner)
    )


def logical(depth: int) -> st.SearchStrategy[str]:
    number = numeric(depth)
    order = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    text = st.sampled_from(["t", "u", "'x'", '"y"', "null"])
    leaf = (
        st.builds("{} {} {}".format, number, order, number)
        | st.builds("{} {} {} {} {}".format, number, order, number, order, number)
        | st.builds("{} in ({}, {})".format, number, number, number)
        | st.builds("{} not in [{}]".format, text, text)
        | st.builds("{} {} {}".format, text, st.sampled_from(["==", "!="]), text)
    )
    if depth == 0:
        return leaf
    inner = logical(depth - 1)
    return (
        leaf
        | st.builds("({}) {} ({})".format, inner, st.sampled_from(["and", "or"]), inner)
        | st.builds("not ({})".format, inner)
    )


NUMBER_VALUES = st.integers(-20, 20) | st.sampled_from([0.5, 0.1, 64, 100, True])
TEXT_VALUES = st.sampled_from(["x", "y", None])
VALUES = st.fixed_dictionaries(
    {"a": NUMBER_VALUES, "b": NUMBER_VALUES, "c_1": NUMBER_VALUES, "t": TEXT_VALUES, "u": TEXT_VALUES}
)


def by_python(text: str, values: dict[str, Any]) -> Any:
    """What Python makes of it, ``None`` where it has no value."""
    try:
        return eval(text, PYTHON, values)
    except (ZeroDivisionError, ValueError):
        return None


@given(logical(2), VALUES)
def test_a_logical_expression_is_what_python_makes_of_it(text: str, values: dict[str, Any]) -> None:
    assert Expression.parse(text, "k").truth(values) == by_python(text, values)


@given(numeric(2), VALUES)
def test_a_number_is_what_python_makes_of_it(text: str, values: dict[str, Any]) -> None:
    found, expected = Expression.parse(text, "k").evaluate(values), by_python(text, values)
    if expected is None or found is None:
        assert found is expected
    else:
        assert isinstance(found, float | int)
        assert math.isclose(found, expected, rel_tol=1e-12, abs_tol=1e-12)


ANY_VALUES = NUMBER_VALUES | TEXT_VALUES | st.just(0)
MIXED = st.fixed_dictionaries(dict.fromkeys(("a", "b", "c_1", "t", "u"), ANY_VALUES))


@given(logical(2), st.lists(MIXED, min_size=1, max_size=8))
def test_many_configs_at_once_are_judged_as_one_by_one(text: str, rows: list[dict[str, Any]]) -> None:
    expression = Expression.parse(text, "k")
    coder = Coder()
    columns = {name: coder.column([row[name] for row in rows]) for name in rows[0]}
    result = expression.evaluate_columns(columns, coder)
    truths = np.broadcast_to(result.truth, len(rows)).tolist()
    known = np.broadcast_to(result.known, len(rows)).tolist()
    found = [truth if is_known else None for truth, is_known in zip(truths, known, strict=True)]
    assert found == [expression.truth(row) for row in rows]


@given(numeric(2), st.lists(MIXED, min_size=1, max_size=8))
def test_many_numbers_at_once_are_the_same_doubles(text: str, rows: list[dict[str, Any]]) -> None:
    expression = Expression.parse(text, "k")
    coder = Coder()
    columns = {name: coder.column([row[name] for row in rows]) for name in rows[0]}
    result = expression.evaluate_columns(columns, coder)
    numbers = np.broadcast_to(result.numbers, len(rows))
    defined = np.broadcast_to(result.defined & result.numeric, len(rows))
    for row, number, is_defined in zip(rows, numbers, defined, strict=True):
        one = expression.evaluate(row)
        assert (number if is_defined else None) == (one if not isinstance(one, str) else None)


@given(st.text(max_size=40) | st.text(alphabet="ab()+-*/%<>=!&|,.'\"[]{}#:@ 01\n", max_size=40))
def test_any_text_is_an_expression_or_one_clear_error(text: str) -> None:
    error = error_of(text)
    assert error is None or (error.key == "space.constraints.0" and error.value == text and error.rule)


def error_of(text: str) -> SpaceError | None:
    try:
        Expression.parse(text, "space.constraints.0")
    except SpaceError as error:
        return error
    return None
