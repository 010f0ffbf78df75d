"""Whatever a study gives for a key: the server reads the same from its configuration file."""

from __future__ import annotations

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from autotuner.engines.key_file import key_file

NAMES = st.from_regex(r"[a-z][a-z_]{0,12}", fullmatch=True)
# Texts that YAML would read as something else are what a writer gets wrong.
WORDS = [
    "on",
    "No",
    "~",
    "1e3",
    "1_000",
    "0o7",
    "12:30:45",
    "2001-01-01",
    "=",
    "<<",
    "'",
    '"',
    "null",
    "{a}",
    "[a",
    "a]",
]
MARKS = [
    "a,b",
    "*a",
    "&a",
    "!a",
    "%a",
    "@a",
    "`a",
    "|",
    ">",
    "",
    " a ",
    "a: b",
    "a #b",
    "- a",
    "? a",
    "a\nb",
    "\t",
    "\0",
]
TRICKY = st.sampled_from([*WORDS, *MARKS, "\x85", "\u2028"])
TEXTS = st.text(max_size=30) | TRICKY
FLOATS = st.floats(allow_nan=False).map(lambda number: number + 0.0)  # -0.0 is 0.0 to a server
SCALARS = st.none() | st.booleans() | st.integers() | FLOATS | TEXTS
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(TEXTS | st.integers() | st.booleans(), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_the_file_says_what_was_given(keys: dict[str, Any]) -> None:
    given_keys = {name: value for name, value in sorted(keys.items()) if value is not None and not _is_json(value)}
    read = yaml.safe_load(key_file(given_keys)) or {}
    assert read == given_keys
    assert repr(read) == repr(given_keys)  # types too: 1 is neither 1.0 nor true


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=4))
def test_dots_open_maps(keys: dict[str, Any]) -> None:
    inner = {name: value for name, value in keys.items() if value is not None and not _is_json(value)}
    read = yaml.safe_load(key_file({f"outer.middle.{name}": value for name, value in inner.items()}))
    assert read == ({"outer": {"middle": inner}} if inner else None)


def _is_json(value: Any) -> bool:
    """A text that stands for what it says."""
    return isinstance(value, str) and (value[:1] in ("{", "[") or value == "null")
