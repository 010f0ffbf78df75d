"""Spelling: what a written name stands for, and what the server makes of a value that is given under it.

vLLM's parser (vllm/utils/argparse_utils.py) takes more than names: ``--compilation-config.mode 3`` is a key of a map,
``-O3`` a flag with its value, ``--no-enable-prefix-caching`` the twin of a flag.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from autotuner.engines.flags.flag import BrokenRule, Flag
from autotuner.engines.flags.human_integers import Suffixes, read_integer
from autotuner.errors import StudyError

LIST_SIGN = "+"  # behind a dotted key: its value is a list, words with commas between them


@dataclass(frozen=True)
class Spelling:
    """A flag by one of its spellings.

    ``path``: keys inside its map, as in ``speculative-config.method``. ``is_negative``: ``no-`` is in front.
    ``glued``: the value stands in the name, as in ``O3``.
    """

    flag: Flag
    path: tuple[str, ...] = ()
    is_negative: bool = False
    glued: str | None = None

    def broken_rule(self, value: object) -> BrokenRule | None:
        """What is wrong with the value by the spelling alone."""
        if self.glued is not None and value not in (None, True):
            return BrokenRule(f"true: the value of {self.flag.name} stands in the name", "true")
        return None

    @cached_property
    def takes_as_given(self) -> bool:
        """Whether the server takes every value as it is: asked first, for flags are read by the ten thousand."""
        return not self.path and not self.is_negative and self.glued is None and self.flag.suffixes is None

    def read(self, value: Any) -> Any:
        """The value of the flag itself, or of the key that ``path`` leads to; ``None`` leaves it out."""
        if value is None or self.takes_as_given:
            return value
        if self.glued is not None:
            return self.glued
        if self.path:
            return _listed(value) if self.path[-1].endswith(LIST_SIGN) else _key_value(value)
        if self.is_negative:
            return not value if isinstance(value, bool) else value
        return self.flag.read(value)

    def whole(self, value: Any) -> Any:
        """The value of the flag: the map around a key."""
        found = self.read(value)
        if self.path and found is not None:
            for key in reversed(self.keys):
                found = {key: found}
        return found

    @property
    def keys(self) -> tuple[str, ...]:
        """``path`` without the sign of a list."""
        return tuple(key.removesuffix(LIST_SIGN) for key in self.path)

    def overlaps(self, other: Spelling) -> bool:
        """Whether both set the same: one flag, or one key of it or a map around that."""
        shorter = min(len(self.keys), len(other.keys))
        return self.flag is other.flag and self.keys[:shorter] == other.keys[:shorter]


def put_key(tree: dict[str, Any], spelling: Spelling, name: str, value: Any) -> None:
    """Puts the value of a dotted name into the map of its flag. Raises StudyError for what is there already."""
    *groups, key = spelling.keys
    for group in groups:
        tree = tree.setdefault(group, {})
        if not isinstance(tree, dict):
            raise twice(name, value, spelling.flag)
    if key in tree:
        raise twice(name, value, spelling.flag)
    tree[key] = spelling.read(value)


def twice(name: str, value: Any, flag: Flag) -> StudyError:
    rule = f"{flag.name} is given beside it: give the map whole, or each of its keys once"
    return StudyError(f"{name}: {value!r}: {rule}", key=name, value=value, rule=rule, nearest=flag.name)


def _key_value(value: Any) -> Any:
    """As the parser reads the text behind a dotted key: JSON, a number with a letter, else the text."""
    if isinstance(value, Mapping):
        return dict(value)
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError:
        number = read_integer(value, Suffixes.SMALL_AND_CAPITAL)
        return value if number is None else number


def _listed(value: Any) -> Any:
    return value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
