from __future__ import annotations

import math

import pytest

from autotuner.report.text import config_text, duration, figure_lines, figure_text, number, percent, value_text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (None, "–"),
        (math.nan, "–"),
        (0.25, "0.25"),
        (32.1449, "32.14"),
        (1234.56, "1,235"),
        (120000.0, "120,000"),
        (-3.5, "-3.5"),
        (1e12, "1e+12"),
        (1e-9, "1e-09"),
        (100.0, "100"),
    ],
)
def test_numbers_have_four_digits(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (3600, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_durations_read_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("ratio", "text"), [(1.34, "+34"), (1.0, "+0.0"), (0.25, "−75"), (1.052, "+5.2"), (12.0, "+1,100")]
)
def test_a_ratio_is_told_as_a_change(ratio: float, text: str) -> None:
    assert percent(ratio) == f"{text}\N{NO-BREAK SPACE}%"


def test_values_are_one_short_line() -> None:
    assert value_text("a\n b") == "a b"
    assert value_text(None) == "null"
    assert value_text(True) == "true"
    assert value_text({"b": 1, "a": [2]}) == '{"a": [2], "b": 1}'
    assert value_text("x" * 100, 10) == "x" * 9 + "…"
    assert config_text({}) == "engine defaults"
    assert config_text({"a": 1, "b": "x"}) == "a 1, b x"


def test_figure_text_is_no_markup() -> None:
    assert figure_text("<b>a</b> & c") == "&lt;b&gt;a&lt;/b&gt; &amp; c"
    assert figure_lines("aaa <bbb", 4) == "aaa<br>&lt;bbb"
