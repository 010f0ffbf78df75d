"""Recorder: an input file's values, with a memory of which of them were read.

What a converter neither reads nor leaves with a reason is listed in the end, so that nothing is silently dropped.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autotuner.errors import InputError

Path = tuple[str, ...]
NO_EQUIVALENT = "a study has no such key"
_SECRET = re.compile(r"(^|_|-)(token|secret|password|passwd|api_?key|access_key|credentials?)$", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"(://[^:/@\s]*):[^@/\s]*@")


@dataclass(frozen=True)
class NotConverted:
    """A value of the input that the study does not have; ``reason`` is why, and what is done instead."""

    key: str
    value: Any
    reason: str


@dataclass
class _Log:
    read: set[Path] = field(default_factory=set)
    left: list[NotConverted] = field(default_factory=list)


class Recorder:
    """A map of the input. Keys in errors and lists are paths from its root, as ``benchmark.model``."""

    def __init__(self, data: Mapping[str, Any], path: Path = (), log: _Log | None = None) -> None:
        self._data = data
        self._path = path
        self._log = log or _Log()

    @property
    def not_converted(self) -> tuple[NotConverted, ...]:
        return tuple(self._log.left)

    def __contains__(self, key: object) -> bool:
        return key in self._data and says_something(self._data[str(key)])

    def names(self) -> list[str]:
        return [str(key) for key in self._data]

    def key(self, *names: str) -> str:
        return ".".join((*self._path, *names))

    def look(self, key: str) -> Any:
        """A value that is not taken: it stays unread."""
        return self._data.get(key)

    def get(self, key: str, default: Any = None) -> Any:
        """A value, read with all that is below it; ``default`` where it is missing or null."""
        self._log.read.add((*self._path, key))
        value = self._data.get(key)
        return default if value is None else value

    def section(self, key: str) -> Recorder:
        """The map under a key, empty where there is none. Raises InputError for something else than a map."""
        value = self._data.get(key)
        if value is not None and not isinstance(value, Mapping):
            raise self.wrong(key, value, "a map")
        return Recorder(value or {}, (*self._path, key), self._log)

    def sections(self, key: str) -> list[Recorder]:
        """The maps of a list under a key."""
        values = self._data.get(key) or []
        if not isinstance(values, Sequence) or not all(isinstance(value, Mapping) for value in values):
            raise self.wrong(key, values, "a list of maps")
        return [Recorder(value, (*self._path, key, str(n)), self._log) for n, value in enumerate(values)]

    def text(self, key: str, default: str | None = None) -> str | None:
        value = self.get(key, default)
        if value is not None and not isinstance(value, str):
            raise self.wrong(key, value, "text")
        return value

    def required_text(self, key: str) -> str:
        value = self.text(key)
        if not value:
            raise self.wrong(key, value, "is required: text")
        return value

    def number(self, key: str, default: float | None = None) -> float | None:
        """A finite number; text that is one counts, as generated files have it."""
        value = self.get(key, default)
        return None if value is None else self._number(key, value)

    def whole(self, key: str, default: int | None = None) -> int | None:
        value = self.number(key, default)
        if value is not None and value != int(value):
            raise self.wrong(key, value, "a whole number")
        return None if value is None else int(value)

    def truth(self, key: str, default: bool = False) -> bool:
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, value, "true or false")
        return value

    def wholes(self, key: str) -> list[int] | None:
        """Whole numbers, each once; one alone counts as a list. ``None`` where the key is missing or empty."""
        given = self.get(key)
        if given is None or given == []:
            return None
        found = [self._number(key, value) for value in (given if isinstance(given, list) else [given])]
        if any(value != int(value) for value in found):
            raise self.wrong(key, given, "whole numbers")
        return list(dict.fromkeys(int(value) for value in found))

    def replace_texts(self, change: Callable[[str], str]) -> list[tuple[str, str]]:
        """Puts ``change(text)`` in the place of every text; hands back key and old text of those that changed."""
        changed: list[tuple[str, str]] = []

        def replaced(value: Any, path: Path) -> Any:
            if isinstance(value, Mapping):
                return {key: replaced(item, (*path, str(key))) for key, item in value.items()}
            if isinstance(value, list):
                return [replaced(item, (*path, str(index))) for index, item in enumerate(value)]
            if isinstance(value, str) and (new := change(value)) != value:
                changed.append((".".join(path), value))
                return new
            return value

        self._data = replaced(self._data, self._path)
        return changed

    def _number(self, key: str, value: Any) -> float:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not math.isfinite(number):
            raise self.wrong(key, value, "a number")
        return number

    def leave(self, key: str, reason: str) -> None:
        """Lists a value as not converted; one that says nothing is passed over."""
        self._log.read.add((*self._path, key))
        if key in self._data and says_something(self._data[key]):
            self.note((key,), self._data[key], reason)

    def leave_together(self, reason: str) -> None:
        """Lists the keys that were not read as one value: their names."""
        names = [name for name in self._data if (*self._path, name) not in self._log.read]
        self._log.read |= {(*self._path, name) for name in names}
        if names:
            self.note_key(self.key(), names, reason)

    def note(self, names: Path, value: Any, reason: str) -> None:
        """Lists a part of a value, or one that was converted to something a little different."""
        self._log.left.append(NotConverted(self.key(*names), _without_secrets(value, names[-1]), reason))

    def note_key(self, key: str, value: Any, reason: str) -> None:
        """As ``note``, with the key's whole path."""
        self._log.left.append(NotConverted(key, _without_secrets(value, key.rpartition(".")[2]), reason))

    def leave_the_rest(self, reason_of: Callable[[str], str | None]) -> None:
        """Lists every value under this map that was not read; ``reason_of`` its path, else a plain reason."""
        for path, value in _leaves(self._data, self._path):
            if not any(path[:end] in self._log.read for end in range(1, len(path) + 1)):
                key = ".".join(path)
                reason = reason_of(key) or NO_EQUIVALENT
                self._log.left.append(NotConverted(key, _without_secrets(value, path[-1]), reason))

    def wrong(self, key: str, value: Any, rule: str) -> InputError:
        where = self.key(key)
        return InputError(f"{where}: {_short(value)}: {rule}", key=where, value=value, rule=rule)


def says_something(value: Any) -> bool:
    """Whether a value is more than null, empty text, or an empty list or map, which ask for a default."""
    return value is not None and value != "" and value != [] and value != {}


def _leaves(data: Any, path: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _leaves(value, (*path, str(key)))
    elif isinstance(data, list) and any(isinstance(value, Mapping) for value in data):
        for index, value in enumerate(data):
            yield from _leaves(value, (*path, str(index)))
    elif says_something(data):
        yield path, data


def _without_secrets(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_secrets(item, str(key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_secrets(item, name) for item in value]
    if is_secret(name):
        return "(not shown)"
    return _PASSWORD_IN_URL.sub(r"\1:***@", value) if isinstance(value, str) else value


def is_secret(name: str) -> bool:
    """Whether a value of this name is likely a secret, by the rule that study files have."""
    return _SECRET.search(name) is not None


def _short(value: Any) -> str:
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"
