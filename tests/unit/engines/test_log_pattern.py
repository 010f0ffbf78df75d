"""What is said of a server's end: its exit code, its last words, and which of several reasons comes first."""

from __future__ import annotations

import pytest

from autotuner.engines.logs.log_pattern import KILLED_FOR_MEMORY, LogPattern, describe_exit, diagnose_log, last_lines
from autotuner.errors import Failure

INVALID, NO_MEMORY = Failure.INVALID_CONFIG, Failure.OUT_OF_MEMORY_AT_START
PATTERNS = (LogPattern("no such flag", INVALID), LogPattern("no memory", NO_MEMORY))


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (0, "ended with exit code 0"),
        (1, "ended with exit code 1"),
        (137, "ended with exit code 137"),
        (-1, "was ended by SIGHUP"),
        (-9, "was ended by SIGKILL"),
        (-200, "was ended by signal 200"),
    ],
)
def test_an_exit_code_in_words_below_0_by_the_signals_name(code: int, told: str) -> None:
    assert describe_exit(code) == told


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("", ""),
        ("a\n\n  \nb\n", "a | b"),
        ("one\ntwo\nthree\n\n  four  \n", "two | three | four"),
        ("x" * 301, "x" * 300),
    ],
)
def test_the_last_words_are_the_last_three_lines_that_say_something(log: str, told: str) -> None:
    assert last_lines(log) == told


def test_the_first_pattern_in_their_order_tells_whichever_line_comes_first() -> None:
    report = diagnose_log(PATTERNS, 1, "no memory\nno such flag\n")
    assert (report.failure, report.message) == (INVALID, "no such flag")
    report = diagnose_log(PATTERNS[::-1], 1, "no memory\nno such flag\n")
    assert (report.failure, report.message) == (NO_MEMORY, "no memory")


def test_of_the_lines_that_a_pattern_matches_the_first_is_told_at_most_300_characters_of_it() -> None:
    said = f"no memory {'x' * 300}"
    assert diagnose_log(PATTERNS, 1, f"  {said}\nno memory, still\n").message == said[:300]


def test_what_the_launcher_says_comes_before_all_patterns() -> None:
    anything = LogPattern(".", INVALID)
    assert diagnose_log([anything], 137, f"first\n{KILLED_FOR_MEMORY}\n").failure is NO_MEMORY


@pytest.mark.parametrize("aside", ["INFO: no memory", "a.py:3: UserWarning: no memory", "  note: no memory"])
def test_asides_explain_nothing_but_to_a_pattern_that_asks_for_them(aside: str) -> None:
    assert diagnose_log(PATTERNS, 1, aside, ["note:"]).failure is Failure.CRASH
    told = diagnose_log([LogPattern("no memory", NO_MEMORY, in_asides=True)], 1, aside, ["note:"])
    assert (told.failure, told.message) == (NO_MEMORY, aside.strip())


def test_without_a_known_reason_a_live_server_hangs_whatever_it_raised() -> None:
    report = diagnose_log(PATTERNS, None, "KeyError: 3\n")
    assert (report.failure, report.message) == (Failure.HANG, "the server lives but does not answer")


@pytest.mark.parametrize(
    ("log", "failure", "told"),
    [
        ("", Failure.CRASH, "the server ended with exit code 2"),
        (" \n\n", Failure.CRASH, "the server ended with exit code 2"),
        ("bye\n", Failure.CRASH, "the server ended with exit code 2: bye"),
        ("KeyError: 3\n", Failure.CRASH, "the server ended with exit code 2: KeyError: 3"),
        ("ValueError: tp is odd\n", INVALID, "ValueError: tp is odd"),
        (f"ValueError: {'x' * 300}", INVALID, f"ValueError: {'x' * 288}"),
        (f"KeyError: {'x' * 300}", Failure.CRASH, f"the server ended with exit code 2: KeyError: {'x' * 290}"),
    ],
)
def test_without_known_words_the_innermost_exception_tells_else_the_last_words(
    log: str, failure: Failure, told: str
) -> None:
    report = diagnose_log(PATTERNS, 2, log)
    assert (report.failure, report.message) == (failure, told)
