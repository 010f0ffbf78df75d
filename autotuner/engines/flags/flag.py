"""One flag of a server: its type, what values it takes, and how it is written on a command line."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from autotuner.engines.flags.human_integers import Suffixes, meant_integer, read_integer, with_plain_numbers
from autotuner.nearest import nearest_in_range, nearest_word


class FlagType(StrEnum):
    INT = "int"
    FLOAT = "float"
    STR = "str"
    CHOICE = "choice"
    FLAG = "flag"  # --name when true, --no-name when false
    SWITCH = "switch"  # --name when true, nothing when false
    JSON = "json"  # a map or a list, written as JSON
    LIST = "list"  # several words


class Place(StrEnum):
    """Where a value is given to the server."""

    CLI = "cli"
    YAML = "yaml"  # a key of its configuration file, dots between nested ones


@dataclass(frozen=True)
class BrokenRule:
    """What a value violates. ``fatal`` is false where the server may still take it."""

    rule: str
    nearest: str | None = None
    fatal: bool = True


@dataclass(frozen=True)
class Flag:
    """One flag of a server. ``reserved`` says why a study may not set it, ``None`` where it may.

    ``open``: other values than ``choices`` may exist. ``also``: words that a number's place takes, as ``auto``.
    ``suffixes``: whole numbers may be written with letters, as ``8k``, those in JSON too. ``glued``: a letter that a
    value may follow at once, as in ``-O3``. ``former``: a letter that older versions had for it. ``negative``: how its
    twin is written, where that is not with ``no-``; ``also_off``: what else turns it off. ``deprecated`` says what to
    use instead.
    """

    name: str
    type: FlagType
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None
    pattern: str | None = None
    default: Any = None
    negative: str | None = None
    also_off: tuple[str, ...] = ()
    reserved: str | None = None
    deprecated: str | None = None
    open: bool = False
    where: Place = Place.CLI
    suffixes: Suffixes | None = None
    glued: str | None = None
    former: str | None = None

    def is_named(self, name: str) -> bool:
        """Whether ``name`` is this flag's or an alias of it, dashes and underscores alike."""
        return _plain(name) in map(_plain, (self.name, *self.aliases))

    @property
    def twins(self) -> tuple[str, ...]:
        """The names that turn it off."""
        if self.type is not FlagType.FLAG:
            return ()
        own = (self.negative,) if self.negative else ()
        return (*own, *self.also_off, *(f"no-{name}" for name in (self.name, *self.aliases)))

    def read(self, value: Any) -> Any:
        """``value`` as the server reads it: numbers with letters, and words in any case where a number stands."""
        if self.suffixes is None or not isinstance(value, str):
            return value
        if self.type is FlagType.JSON:
            return with_plain_numbers(value, self.suffixes)
        word = value.strip().lower()
        if word in self.also:
            return word
        number = read_integer(value, self.suffixes)
        return value if number is None else number

    def broken_rule(self, value: object) -> BrokenRule | None:
        """The rule that ``value``, as the server reads it, breaks, ``None`` when it is fine; ``None`` as value is the
        server's own default."""
        if value is None:
            return None
        if self.reserved is not None:
            return BrokenRule(f"can't be set: it {self.reserved}")
        match self.type:
            case FlagType.FLAG | FlagType.SWITCH:
                return None if isinstance(value, bool) else BrokenRule("true or false")
            case FlagType.CHOICE:
                return self._broken_choice(value)
            case FlagType.STR:
                return self._broken_text(value)
            case FlagType.JSON:
                return None if isinstance(value, dict | list | str) else BrokenRule("a map, a list, or JSON as text")
            case FlagType.LIST:
                return self._broken_list(value)
        return self._broken_number(value)

    def render(self, value: object) -> tuple[str, ...]:
        """The argv words that set the flag to ``value``; none at all for ``None``."""
        if value is None:
            return ()
        if self.type is FlagType.SWITCH:
            return (f"--{self.name}",) if value else ()
        if self.type is FlagType.FLAG:
            return (f"--{self.name}" if value else f"--{self.negative or f'no-{self.name}'}",)
        if self.type is FlagType.JSON and not isinstance(value, str):
            return f"--{self.name}", json.dumps(value, separators=(",", ":"))
        if self.type is FlagType.LIST and isinstance(value, list):
            return f"--{self.name}", *(self.as_word(word) for word in value)
        return f"--{self.name}", self.as_word(value)

    def as_word(self, value: object) -> str:
        """``value`` as the server spells it: YAML reads a bare ``on`` as true, and numbers stay plain."""
        if isinstance(value, bool):
            on_and_off = ("true", "false") if "true" in self.choices else ("on", "off")
            return on_and_off[0] if value else on_and_off[1]
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

    def _broken_choice(self, value: object) -> BrokenRule | None:
        word = self.as_word(value)
        if word in self.choices:
            return None
        listed = ", ".join(self.choices)
        if self.open:
            return BrokenRule(f"none of the known {listed}", nearest_word(word, self.choices), fatal=False)
        return BrokenRule(f"one of {listed}", nearest_word(word, self.choices))

    def _broken_text(self, value: object) -> BrokenRule | None:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return BrokenRule("a text")
        if self.pattern is not None and re.fullmatch(self.pattern, str(value)) is None:
            return BrokenRule(f"must match {self.pattern}")
        return None

    def _broken_list(self, value: object) -> BrokenRule | None:
        words = value if isinstance(value, list) else [value]
        if any(isinstance(word, dict | list) or word is None for word in words):
            return BrokenRule("a list of words")
        if self.choices and not self.open:
            wrong = next((self.as_word(word) for word in words if self.as_word(word) not in self.choices), None)
            if wrong is not None:
                return BrokenRule(f"each one of {', '.join(self.choices)}", nearest_word(wrong, self.choices))
        return None

    def _broken_number(self, value: object) -> BrokenRule | None:
        if isinstance(value, str) and value in self.also:
            return None
        kind = "a whole number" if self.type is FlagType.INT else "a number"
        words = f", or {', '.join(self.also)}" if self.also else ""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or (self.type is FlagType.INT and not isinstance(value, int)):
            if self.suffixes is None:
                return BrokenRule(kind + words, self._nearest_number(value))
            meant = meant_integer(value, self.suffixes) if isinstance(value, str) else None
            return BrokenRule(f"{kind}, also as {self.suffixes.examples}{words}", meant or self._nearest_number(value))
        assert isinstance(value, int | float)
        if self.min is not None and not value >= self.min:
            return BrokenRule(f"{kind}, at least {self.min:g}{words}", self._nearest_number(value))
        if self.max is not None and not value <= self.max:
            return BrokenRule(f"{kind}, at most {self.max:g}{words}", self._nearest_number(value))
        return None

    def _nearest_number(self, value: object) -> str | None:
        return nearest_in_range(value, self.min, self.max, whole=self.type is FlagType.INT)


def _plain(word: str) -> str:
    return word.lower().lstrip("-").replace("_", "-")
