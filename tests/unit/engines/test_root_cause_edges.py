"""How the exception behind an end is read, line by line."""

from __future__ import annotations

import pytest

from autotuner.engines.logs.root_cause import RootCause, root_cause

AT = '  File "a.py", line 1, in a'
TRACEBACK = "Traceback (most recent call last):"
CAUSE = "The above exception was the direct cause of the following exception:"
WHILE = "During handling of the above exception, another exception occurred:"


def cause(*lines: str) -> RootCause | None:
    return root_cause(lines)


def message(*lines: str) -> str | None:
    found = cause(*lines)
    return None if found is None else found.message


# ── what is an exception ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("ValueError: x", "ValueError: x"),
        ("a.b.CustomTimeout: x", "a.b.CustomTimeout: x"),
        ("torch.OutOfMemory: x", None),  # not named so, and no traceback before it
        ("SomeError", "SomeError"),
        ("SomeError happened", None),
        ("  ValueError: x", None),  # a line of a traceback
        ("note: ValueError: x", None),
        ("Fatal Python error: Segmentation fault", "Fatal Python error: Segmentation fault"),
        ("ValueError:", "ValueError:"),
    ],
)
def test_a_line_by_itself(line: str, told: str | None) -> None:
    assert message(line) == told


@pytest.mark.parametrize("line", ["Unsupported: x", "pkg.Odd: x", "Odd"])
def test_after_a_traceback_any_name_is_one(line: str) -> None:
    found = message(TRACEBACK, AT, "    call()", line)
    assert found is not None
    assert found.startswith(line)


def test_an_assert_without_words_tells_the_line_that_it_asked() -> None:
    assert message(TRACEBACK, AT, "    assert a == b", "           ^^^^^^", "AssertionError") == (
        "AssertionError: assert a == b"
    )
    assert message(TRACEBACK, AT, "    f(", "      ~~~^", "AssertionError: no") == "AssertionError: no"
    assert message(TRACEBACK, "AssertionError") == "AssertionError"


def test_a_file_line_begins_a_traceback_without_its_first_words() -> None:
    assert message("Scheduler hit an exception", AT, "    f()", "Odd: x") == "Odd: x"


def test_the_source_line_of_one_traceback_is_not_that_of_the_next() -> None:
    assert message(TRACEBACK, AT, "    assert a", TRACEBACK, AT, "AssertionError") == "AssertionError"


@pytest.mark.parametrize(
    ("name", "of_values"),
    [("ValueError", True), ("pydantic.ValidationError", True), ("NotImplementedError", True), ("KeyError", False)],
)
def test_what_says_that_a_value_is_wrong(name: str, of_values: bool) -> None:
    found = cause(f"{name}: x")
    assert found is not None
    assert (found.name, found.is_of_values) == (name, of_values)


# ── messages of several lines ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("AError:", "one", "two", "three"), "AError: one two"),
        (("AError:", "", "one"), "AError: one"),
        (("AError: x", "one"), "AError: x"),
        (("AError: 2 validation errors for M", "one", "two", "three"), "AError: 2 validation errors for M one two"),
        (("AError: 1 validation error for M", "one"), "AError: 1 validation error for M one"),
        (("AError:", "BError: y"), None),
        (("AError:", TRACEBACK, AT, "BError: y"), None),
        (("AError:", WHILE, TRACEBACK, "BError: y"), "AError: (then BError: y)"),
        (("AError:", CAUSE, "one"), "AError:"),
    ],
)
def test_two_more_lines_are_told_of_a_message_that_its_first_does_not_tell(
    lines: tuple[str, ...], told: str | None
) -> None:
    assert message(*lines) == (told or "BError: y")


# ── chains ────────────────────────────────────────────────────────────────────────────────────


def chain(link: str, *said: str) -> str | None:
    lines: list[str] = []
    for number, one in enumerate(said):
        lines += [*([link] if number else []), TRACEBACK, AT, one]
    return message(*lines)


def test_of_causes_the_first_is_told_and_of_what_came_meanwhile_the_last() -> None:
    assert chain(CAUSE, "AError: a", "BError: b", "CError: c") == "AError: a"
    assert chain(WHILE, "AError: a", "BError: b") == "AError: a (then BError: b)"
    assert chain(WHILE, "AError: a", "BError: b", "CError: c") == "AError: a (then CError: c)"


def test_a_first_one_that_only_points_elsewhere_gives_way() -> None:
    assert chain(CAUSE, "AError: see root cause above", "BError: b") == "BError: b"
    assert chain(WHILE, "AError: connection reset", "BError: b") == "BError: b"


def test_without_a_link_each_is_a_chain_of_its_own_and_the_last_that_has_a_reason_is_told() -> None:
    assert message("AError: a", "BError: b") == "BError: b"
    assert message("AError: a", "BError: worker died unexpectedly") == "AError: a"
    assert message("AError: broken pipe", "BError: process exited") == "BError: process exited", "nothing else is there"
    assert message() is None


def test_what_was_ignored_counts_for_nothing() -> None:
    assert message("Exception ignored in: f", TRACEBACK, "AError: a") is None
    assert message("AError: a", "Task exception was never retrieved", TRACEBACK, "BError: b") == "AError: a"
    assert message("Exception ignored in: f", "AError: a", "BError: b") == "BError: b", "only the next one is"


# ── who speaks ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "head",
    [
        "(APIServer pid=7) ",
        "(EngineCore_DP0 pid=2) (Worker_TP4 pid=3) ",
        "[rank3]: ",
        "(Worker pid=3) [rank0]:",
        "ERROR 10-02 09:11:02 [core.py:1330] ",
        "(EngineCore pid=4) ERROR 10-02 09:11:02 [core.py:1330] ",
        "CRITICAL: ",
        "[10/02/2026-09:11:02] [TRT-LLM] [RANK 0] [E] ",
    ],
)
def test_what_stands_before_the_words_is_left_out(head: str) -> None:
    assert message(f"{head}{TRACEBACK}", f"{head}{AT}", f"{head}Odd: x") == "Odd: x"


def test_what_two_processes_say_at_once_is_kept_apart() -> None:
    one, two = "(A pid=1) ", "(B pid=2) "
    assert message(f"{one}AError: a", f"{two}BError: b", f"{one}{CAUSE}", f"{one}{TRACEBACK}", f"{one}CError: c") == (
        "BError: b"
    )
    assert message(f"{two}BError:", f"{one}AError: died unexpectedly", f"{two}more") == "BError: more"


# ── programs of other languages ───────────────────────────────────────────────────────────────


def test_an_exception_of_cpp_is_told_with_what_it_says() -> None:
    thrown = "terminate called after throwing an instance of 'std::bad_alloc'"
    assert message(thrown, "  what():  no memory") == "std::bad_alloc: no memory"
    assert message("  what():  no memory") is None
    assert message(thrown, "  what():  no memory", "  what():  again") == "std::bad_alloc: no memory"


def test_exception_groups_are_read_within_their_bars() -> None:
    lines = (
        "  + Exception Group Traceback (most recent call last):",
        '  |   File "a.py", line 1, in a',
        "  | ExceptionGroup: two (2 sub-exceptions)",
        "    | Traceback (most recent call last):",
        "    | Odd: inner",
    )
    assert message(*lines) == "Odd: inner"
