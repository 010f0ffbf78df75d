"""Expressions at their edges: lengths, depths, places, and what has no value."""

from __future__ import annotations

import math
from typing import Any

import pytest

from autotuner.errors import SpaceError
from autotuner.space import Expression


def parse(text: str) -> Expression:
    return Expression.parse(text, "k")


def refused(text: str) -> SpaceError:
    with pytest.raises(SpaceError) as caught:
        parse(text)
    return caught.value


def pointed_at(text: str) -> int:
    """The character under which the caret stands."""
    return refused(text).message.splitlines()[2].index("^") - 4


def value(text: str, **names: Any) -> Any:
    return parse(text).evaluate(names)


# ── limits ────────────────────────────────────────────────────────────────────────────────────


def test_a_thousand_characters_are_read_and_no_more() -> None:
    assert value("1" + " " * 999) == 1
    assert "1001 characters: at most 1000 characters" in refused("1" + " " * 1000).message


def test_a_hundred_levels_are_read_and_no_more() -> None:
    assert value("-" * 99 + "1") == -1
    assert "nested deeper than 100 levels" in refused("-" * 100 + "1").message


def test_wide_is_not_deep() -> None:
    assert value(" or ".join(["a == 1"] * 90), a=1) is True


@pytest.mark.parametrize("text", ["", " ", "\t"])
def test_nothing_is_no_expression(text: str) -> None:
    assert refused(text).message == "k: an expression is empty"


# ── places ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "at", "rule"),
    [
        ("a # b", 2, "a comment can't stand"),
        ("(a", 0, "a ( without its )"),
        ("((a)", 0, "a ( without its )"),
        ("a)", 1, "a ) without its ("),
        ("'(' == a)", 8, "a ) without its ("),
        ('")" == a)', 8, "a ) without its ("),
        ("a || b", 2, "|| is not known here"),
        ("!a", 0, "! is not known here"),
        ("a + ", 3, "not an expression that can be read"),
        ("a b", 0, "not an expression that can be read"),
        ("a == 1j", 5, "a number, a text in quotes"),
        ("a == ...", 5, "a number, a text in quotes"),
        ("é + b.c() > 1", 4, "only arithmetic"),
        ("a is b", 5, "compare with <"),
        ("a in 5", 5, "a list such as [1, 2] must follow `in`"),
        ("a in []", 5, "a list such as [1, 2] must follow `in`"),
        ("b > a in [1] > 2", 0, "nothing can follow the list"),
        ("1 + foo(2)", 4, "'foo' is no function: min, max, abs, ceil, floor, log2"),
        ("1 + min()", 4, "min takes at least one value"),
        ("1 + abs(1, 2)", 4, "abs takes one value"),
        ("1 + abs()", 4, "abs takes one value"),
        ("a + 1e999", 4, "a number that is too large"),
        ("a + 1" + "0" * 400, 4, "a number that is too large"),
        ("a(b).c == 1", 0, "a name"),
        ("a\t+\t'x'", 4, "a number, not the text 'x'"),
        ("3 < 'x'", 4, "a number, not the text 'x'"),
    ],
)
def test_what_is_wrong_is_pointed_at(text: str, at: int, rule: str) -> None:
    assert rule in str(refused(text).rule)
    assert pointed_at(text) == at


@pytest.mark.parametrize(("text", "meant"), [("a && b", "and"), ("a || b", "or"), ("!a", "not"), ("a = 1", "==")])
def test_words_of_other_languages_are_told_in_ours(text: str, meant: str) -> None:
    error = refused(text)
    assert error.nearest == meant
    assert f"did you mean {meant!r}?" in error.message


@pytest.mark.parametrize("text", ["a != 1", "a <= 1", "a >= 1", "a == 'b = c && d'", "(a\n== 1)"])
def test_what_looks_like_them_is_not(text: str) -> None:
    assert parse(text).names == ("a",)


# ── names ─────────────────────────────────────────────────────────────────────────────────────


def test_names_in_order_of_appearance_each_once() -> None:
    assert parse("b + a > b and env.C in [d, 1]").names == ("b", "a", "env.C", "d")


def test_names_that_stand_for_numbers_and_for_truths() -> None:
    expression = parse("a + 1 > b and c and not d and e == f and (g or abs(h) < -i) and j in [k]")
    assert expression.used_as_number == {"a", "b", "h", "i"}
    assert expression.used_as_truth == {"c", "d", "g"}
    assert parse("a").used_as_truth == {"a"}
    assert parse("1 < a == b < 2").used_as_number == {"a", "b"}


def test_names_are_replaced_by_others_or_by_expressions() -> None:
    assert parse("a + ab * a").renamed({"a": "(x + 1)", "c": "y"}) == "(x + 1) + ab * (x + 1)"


def test_an_error_points_at_the_first_place_of_a_name() -> None:
    error = parse("1 < a and a > 2").error_at("a", "no", "b")
    assert error.message == "k: no; did you mean 'b'?\n    1 < a and a > 2\n        ^"


# ── values ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("7 // 2", 3),
        ("-7 % 4", 1),
        ("2 ** 10", 1024),
        ("2 ** -1", 0.5),
        ("+3", 3),
        ("ceil(2.1) + floor(2.9)", 5),
        ("log2(8)", 3),
        ("min(3, 1, 2) + max(3, 1, 2)", 4),
        ("abs(-2)", 2),
        ("1 < 2 < 3", True),
        ("1 < 2 > 3", False),
        ("3 > 2 in [2, 5]", True),
        ("3 < 2 in [2, 5]", False),
        ("3 > 2 not in [2]", False),
        ("true + true", 2),
        ("true == 1", True),
        ("'1' == 1", False),
        ("'a' != null", True),
        ("null == null", True),
        ("null in [0, null]", True),
        ("0 and 1 / 0", False),
        ("1 or 1 / 0", True),
        ("not 0", True),
    ],
)
def test_values(text: str, found: Any) -> None:
    assert value(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "1 / 0",
        "1 // 0",
        "1 % 0",
        "0 ** -1",
        "(-8) ** 0.5",
        "10.0 ** 400",
        "1e308 * 10",
        "log2(0)",
        "log2(-1)",
        "null + 1",
        "null < 1",
        "not null",
        "-null",
        "1 and null",
        "abs(null)",
        "1 < 2 < null",
    ],
)
def test_what_has_no_value_is_undefined(text: str) -> None:
    assert value(text) is None
    assert parse(text).truth({}) is None


def test_numbers_are_doubles_and_those_beyond_are_none() -> None:
    assert value("a == b", a=2**53, b=2**53 + 1) is True
    assert value("a + 1", a=10**400) is None
    assert value("a == 1", a=10**400) is None
    assert math.isclose(value("0.1 + 0.2"), 0.3)


def test_what_was_read_before_leaves_as_many_levels_as_there_were() -> None:
    """Depth is counted out again with each part that ends."""
    parts = "1 + " * 10
    assert value(parts + "-" * 80 + "1") == 11
    assert "nested deeper than 100 levels" in refused(" + ".join(["(1)"] * 10) + " + " + "-" * 100 + "1").message


@pytest.mark.parametrize("name", ["min", "max", "abs", "ceil", "floor", "log2"])
def test_a_function_of_nothing_is_refused(name: str) -> None:
    assert refused(f"{name}() == 1").message
