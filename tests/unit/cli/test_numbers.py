"""Numbers on the command line: every option that takes one refuses what it can't mean, in plain words."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator

import pytest

from autotuner.cli.main import build_parser, main
from autotuner.errors import InputError

# Options that take numbers, with the least that they take; the words before them make a command line.
WHOLE = {
    ("bench", "http://h:1", "--requests"): 1,
    ("bench", "http://h:1", "--shared-prefix-tokens"): 0,
    ("bench", "http://h:1", "--seed"): 0,
    ("init", "--gpus"): 0,
    ("init", "--shared-prefix"): 0,
    ("init", "--trials"): 1,
    ("run", "--trials"): 1,
    ("run", "--gpus"): 0,
    ("run", "--shared-prefix"): 0,
    ("export", "DIR", "--target", "shell", "--top"): 1,
    ("logs", "DIR", "0000", "--launch"): 1,
    ("logs", "DIR", "0000", "--rank"): 0,
}
REAL = [
    ("bench", "http://h:1", "--per-level-s"),
    ("bench", "http://h:1", "--request-timeout-s"),
    ("status", "DIR", "--watch"),
]
FROM_ZERO = [("bench", "http://h:1", "--wait-s")]
SEVERAL_WHOLE = [("bench", "http://h:1", "--concurrency"), ("init", "--concurrency"), ("run", "--concurrency")]
SEVERAL_REAL = [("bench", "http://h:1", "--rate"), ("bench", "http://h:1", "--speed")]
NO_NUMBERS = ["inf", "-inf", "nan", "NaN", "Infinity", "x", "", "1_000", "0x10", "1e999", "1,5e", "٣"]


def commands() -> dict[str, argparse.ArgumentParser]:
    action = next(a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def numeric_options() -> Iterator[tuple[str, str]]:
    for name, parser in commands().items():
        for action in parser._actions:
            if getattr(action.type, "__module__", "") == "autotuner.cli.numbers":
                yield name, action.option_strings[0]


def refusal(*words: str) -> InputError:
    with pytest.raises(InputError) as caught:
        build_parser().parse_args(words)
    assert caught.value.exit_code == 2
    return caught.value


def test_every_option_that_takes_a_number_is_judged_here() -> None:
    for name, parser in commands().items():
        for action in parser._actions:
            assert action.type not in (int, float), f"{name} {action.option_strings}"
    listed = {(words[0], words[-1]) for words in (*WHOLE, *REAL, *FROM_ZERO, *SEVERAL_WHOLE, *SEVERAL_REAL)}
    assert set(numeric_options()) == listed


@pytest.mark.parametrize("words", [*WHOLE, *REAL, *FROM_ZERO, *SEVERAL_WHOLE, *SEVERAL_REAL])
@pytest.mark.parametrize("text", NO_NUMBERS)
def test_what_is_no_number_is_refused(words: tuple[str, ...], text: str) -> None:
    assert words[-1] in refusal(*words, text).message


@pytest.mark.parametrize("words", WHOLE)
@pytest.mark.parametrize("text", ["1.5", "1e3", "-1", "99999999999999"])
def test_what_is_no_whole_number_in_range_is_refused_with_its_rule(words: tuple[str, ...], text: str) -> None:
    error = refusal(*words, text)
    assert error.value == text
    assert words[-1] in error.message
    assert f"a whole number from {WHOLE[words]}" in (error.rule or "")
    assert error.nearest == ("1000" if text == "1e3" else None)


@pytest.mark.parametrize("words", WHOLE)
def test_the_least_is_taken_and_what_is_below_is_not(words: tuple[str, ...]) -> None:
    least = WHOLE[words]
    parsed = vars(build_parser().parse_args([*words, str(least)]))
    assert least in parsed.values()
    refusal(*words, str(least - 1))


@pytest.mark.parametrize("words", [*REAL, *SEVERAL_REAL, *SEVERAL_WHOLE])
@pytest.mark.parametrize("text", ["0", "-5", "-0.5", "0,1", "1,-1", "1,,2", ","])
def test_what_is_not_above_zero_is_refused(words: tuple[str, ...], text: str) -> None:
    error = refusal(*words, text)
    assert (error.key, error.value) == (words[-1].lstrip("-"), text)


@pytest.mark.parametrize("words", FROM_ZERO)
def test_zero_is_taken_where_it_means_something(words: tuple[str, ...]) -> None:
    assert 0.0 in vars(build_parser().parse_args([*words, "0"])).values()
    for text in ("-1", "-0.5", "1,2"):
        assert refusal(*words, text).rule == "a finite number from 0"


@pytest.mark.parametrize("words", SEVERAL_REAL)
def test_numbers_with_commas(words: tuple[str, ...]) -> None:
    parsed = build_parser().parse_args([*words, "0.5, 1,2e1"])
    assert getattr(parsed, words[-1].lstrip("-")) == [0.5, 1.0, 20.0]


def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "http://127.0.0.1:1", "--rate", "inf", "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert (told["code"], told["key"], told["value"]) == ("input", "rate", "inf")
    assert told["rule"] == "finite numbers above 0, to 1000000, with commas between them, as 0.5,1,2"


def test_an_option_without_its_number_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "http://127.0.0.1:1", "--json", "--requests"]) == 2
    assert json.loads(capsys.readouterr().out)["key"] == "requests"
