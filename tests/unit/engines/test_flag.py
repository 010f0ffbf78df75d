"""One flag by itself: what it takes, what it says of a value that it does not take, and how it is written."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines import Flag, FlagType
from autotuner.engines.flags.flag import BrokenRule
from autotuner.engines.flags.human_integers import Suffixes, meant_integer, read_integer, with_plain_numbers
from autotuner.engines.flags.spelling import Spelling

KK, KKI = Suffixes.SMALL_AND_CAPITAL, Suffixes.SI_AND_IEC
INT = Flag("n", FlagType.INT, min=1, max=8)
FLOAT = Flag("x", FlagType.FLOAT, min=0.5, max=1)
COUNT = Flag("n", FlagType.INT, also=("auto",), suffixes=KK)
CHOICE = Flag("c", FlagType.CHOICE, choices=("fast", "slow"))
JSON = Flag("m", FlagType.JSON)


@pytest.mark.parametrize(
    ("flag", "values"),
    [
        (INT, [None, 1, 8]),
        (FLOAT, [0.5, 1, 1.0]),
        (COUNT, ["auto", 5, -5]),
        (CHOICE, ["fast"]),
        (Flag("c", FlagType.CHOICE, choices=("on", "off")), [True, False, "on"]),
        (Flag("c", FlagType.CHOICE, choices=("1", "2")), [1, 2.0]),
        (Flag("t", FlagType.STR), ["a", 1, 1.5]),
        (Flag("t", FlagType.STR, pattern="[ab]+|1"), ["ab", 1]),
        (Flag("f", FlagType.FLAG), [True, False]),
        (Flag("f", FlagType.SWITCH), [True, False]),
        (JSON, [{}, [], "text"]),
        (Flag("l", FlagType.LIST), ["a", ["a", 1], []]),
        (Flag("l", FlagType.LIST, choices=("a", "b")), ["a", ["a", "b"]]),
        (Flag("l", FlagType.LIST, choices=("a", "b"), open=True), ["c"]),
    ],
)
def test_what_it_takes(flag: Flag, values: list[Any]) -> None:
    assert [value for value in values if flag.broken_rule(value) is not None] == []


@pytest.mark.parametrize(
    ("flag", "value", "broken"),
    [
        (INT, 0, BrokenRule("a whole number, at least 1", "1")),
        (INT, 9, BrokenRule("a whole number, at most 8", "8")),
        (INT, 1.5, BrokenRule("a whole number", "2")),
        (INT, True, BrokenRule("a whole number")),
        (INT, "3", BrokenRule("a whole number", "3")),
        (FLOAT, 0.4, BrokenRule("a number, at least 0.5", "0.5")),
        (FLOAT, 1.1, BrokenRule("a number, at most 1", "1")),
        (FLOAT, "auto", BrokenRule("a number")),
        (FLOAT, True, BrokenRule("a number")),
        (COUNT, "aut", BrokenRule("a whole number, also as 8k (8000) or 8K (8192), or auto")),
        (COUNT, "1.5M", BrokenRule("a whole number, also as 8k (8000) or 8K (8192), or auto", "1.5m")),
        (CHOICE, "fas", BrokenRule("one of fast, slow", "fast")),
        (CHOICE, True, BrokenRule("one of fast, slow")),
        (Flag("t", FlagType.STR), True, BrokenRule("a text")),
        (Flag("t", FlagType.STR), [1], BrokenRule("a text")),
        (Flag("t", FlagType.STR, pattern="[ab]+"), "abc", BrokenRule("must match [ab]+")),
        (Flag("f", FlagType.FLAG), 1, BrokenRule("true or false")),
        (Flag("f", FlagType.SWITCH), "on", BrokenRule("true or false")),
        (JSON, 5, BrokenRule("a map, a list, or JSON as text")),
        (Flag("l", FlagType.LIST), [None], BrokenRule("a list of words")),
        (Flag("l", FlagType.LIST), {"a": 1}, BrokenRule("a list of words")),
        (
            Flag("l", FlagType.LIST, choices=("fast", "slow")),
            ["fast", "slo"],
            BrokenRule("each one of fast, slow", "slow"),
        ),
        (Flag("r", FlagType.INT, reserved="is bound at launch"), 1, BrokenRule("can't be set: it is bound at launch")),
    ],
)
def test_what_it_does_not_take_is_told_with_what_is_nearest(flag: Flag, value: Any, broken: BrokenRule) -> None:
    assert flag.broken_rule(value) == broken


def test_a_value_of_an_open_choice_may_be_one_that_is_not_known() -> None:
    flag = Flag("c", FlagType.CHOICE, choices=("fast", "slow"), open=True)
    assert flag.broken_rule("fas") == BrokenRule("none of the known fast, slow", "fast", fatal=False)


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        (Flag("f", FlagType.SWITCH), True, ("--f",)),
        (Flag("f", FlagType.SWITCH), False, ()),
        (Flag("f", FlagType.FLAG), True, ("--f",)),
        (Flag("f", FlagType.FLAG), False, ("--no-f",)),
        (Flag("f", FlagType.FLAG, negative="off-f"), False, ("--off-f",)),
        (JSON, {"a": [1]}, ("--m", '{"a":[1]}')),
        (JSON, '{"a": 1}', ("--m", '{"a": 1}')),
        (Flag("l", FlagType.LIST), ["a", 2.0], ("--l", "a", "2")),
        (Flag("l", FlagType.LIST), "a", ("--l", "a")),
        (FLOAT, 1.0, ("--x", "1")),
        (FLOAT, 0.75, ("--x", "0.75")),
        (CHOICE, None, ()),
        (Flag("c", FlagType.CHOICE, choices=("true", "false")), False, ("--c", "false")),
        (Flag("c", FlagType.CHOICE, choices=("on", "off")), False, ("--c", "off")),
    ],
)
def test_how_it_is_written(flag: Flag, value: Any, words: tuple[str, ...]) -> None:
    assert flag.render(value) == words


def test_its_names() -> None:
    flag = Flag("max-n", FlagType.FLAG, aliases=("n_max",), negative="less", also_off=("none",))
    assert [name for name in ("max-n", "--max_n", "N-MAX", "max-m") if flag.is_named(name)] == [
        "max-n",
        "--max_n",
        "N-MAX",
    ]
    assert flag.twins == ("less", "none", "no-max-n", "no-n_max")
    assert Flag("f", FlagType.SWITCH, negative="less").twins == ()
    assert Flag("f", FlagType.FLAG).twins == ("no-f",)


# ── values as the server reads them ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("value", "read"), [("8k", 8000), (" AUTO ", "auto"), ("8x", "8x"), (5, 5), (None, None), ("-1", -1)]
)
def test_numbers_with_letters_and_words_in_any_case(value: Any, read: Any) -> None:
    assert COUNT.read(value) == read
    assert INT.read(value) == value, "where the server reads none"


@pytest.mark.parametrize(
    ("text", "suffixes", "number"),
    [
        ("1m", KK, 10**6),
        ("1M", KK, 2**20),
        ("1g", KK, 10**9),
        ("1T", KK, 2**40),
        ("1M", KKI, 10**6),
        ("1Gi", KKI, 2**30),
        ("0.5k", KK, 500),
        ("0.5K", KK, None),
        ("+5", KK, 5),
        ("5.", KK, None),
        ("", KK, None),
    ],
)
def test_letters_stand_for_powers(text: str, suffixes: Suffixes, number: int | None) -> None:
    assert read_integer(text, suffixes) == number


@pytest.mark.parametrize(
    ("text", "suffixes", "meant"),
    [
        ("2Ki", KK, "2K"),
        ("1.5Gi", KK, "1.5g"),
        ("2m", KKI, "2M"),
        ("2.5K", KKI, "2.5k"),
        ("12", KK, None),
        ("2x", KK, None),
        ("k", KK, None),
    ],
)
def test_how_a_number_of_other_letters_is_written_here(text: str, suffixes: Suffixes, meant: str | None) -> None:
    assert meant_integer(text, suffixes) == meant


def test_numbers_in_json_are_read_outside_of_quotes_alone() -> None:
    text = '{"8k": 8k, "a": "1K \\" 1K", "b": [1.5m, 1.5M, 7]}'
    assert with_plain_numbers(text, KK) == '{"8k": 8000, "a": "1K \\" 1K", "b": [1500000, 1.5M, 7]}'


def test_suffixes_are_told_by_example() -> None:
    assert (KK.examples, KKI.examples) == ("8k (8000) or 8K (8192)", "8k (8000) or 8Ki (8192)")


# ── spellings ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("spelling", "value", "read", "whole"),
    [
        (Spelling(INT), 5, 5, 5),
        (Spelling(COUNT), "8k", 8000, 8000),
        (Spelling(Flag("f", FlagType.FLAG), is_negative=True), True, False, False),
        (Spelling(Flag("f", FlagType.FLAG), is_negative=True), "x", "x", "x"),
        (Spelling(INT, glued="3"), True, "3", "3"),
        (Spelling(INT, glued="3"), None, None, None),
        (Spelling(JSON, ("a", "b")), "8k", 8000, {"a": {"b": 8000}}),
        (Spelling(JSON, ("a",)), '{"c": 1}', {"c": 1}, {"a": {"c": 1}}),
        (Spelling(JSON, ("a",)), "word", "word", {"a": "word"}),
        (Spelling(JSON, ("a",)), None, None, None),
        (Spelling(JSON, ("a+",)), "x,y", ["x", "y"], {"a": ["x", "y"]}),
        (Spelling(JSON, ("a+",)), ["x"], ["x"], {"a": ["x"]}),
        (Spelling(JSON, ("a+",)), 5, [5], {"a": [5]}),
    ],
)
def test_values_under_a_spelling(spelling: Spelling, value: Any, read: Any, whole: Any) -> None:
    assert (spelling.read(value), spelling.whole(value)) == (read, whole)


def test_only_true_stands_beside_a_value_in_the_name() -> None:
    glued = Spelling(Flag("level", FlagType.INT), glued="3")
    assert [glued.broken_rule(value) for value in (None, True)] == [None, None]
    assert glued.broken_rule(2) == BrokenRule("true: the value of level stands in the name", "true")
    assert Spelling(INT).broken_rule(2) is None


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (Spelling(JSON), Spelling(JSON), True),
        (Spelling(JSON), Spelling(JSON, ("a",)), True),
        (Spelling(JSON, ("a", "b")), Spelling(JSON, ("a+",)), True),
        (Spelling(JSON, ("a",)), Spelling(JSON, ("b",)), False),
        (Spelling(JSON, ("a", "b")), Spelling(JSON, ("a", "c")), False),
        (Spelling(JSON), Spelling(INT), False),
    ],
)
def test_spellings_overlap_where_they_set_the_same(one: Spelling, other: Spelling, overlap: bool) -> None:
    assert (one.overlaps(other), other.overlaps(one)) == (overlap, overlap)
