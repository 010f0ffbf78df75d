"""What is wrong with a structured value: a map or a list that a flag takes, given as such or as JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from autotuner.engines.flags.flag import BrokenRule, Flag, FlagType
from autotuner.nearest import nearest_word

Choices = tuple[str, ...]


@dataclass(frozen=True)
class Keys:
    """The keys that a map may have: name → choices of its value, empty where any will do.

    ``open``: others may exist.
    """

    known: Mapping[str, Choices] = field(default_factory=dict)
    open: bool = False


@dataclass(frozen=True)
class BrokenPart:
    """A rule that a part of a value breaks. ``path`` are the keys to it, dots between; empty for the value itself."""

    path: str
    value: object
    broken: BrokenRule


def broken_part(flag: Flag, value: object, flags: Mapping[str, Flag], keys: Keys | None) -> BrokenPart | None:
    """The first rule that ``value`` breaks in its parts, before those that a server may not mind.

    ``flags`` are all of the catalogue: names that go on after the flag's own and a dot are keys of its map. Where no
    key is known, an ``open`` flag takes a text that is no JSON as well, a path as a rule.
    """
    if flag.type is not FlagType.JSON:
        return None  # at once: flags are judged by the ten thousand
    found = list(_broken_parts(flag, value, flags, keys))
    return next((part for part in found if part.broken.fatal), found[0] if found else None)


def _broken_parts(flag: Flag, value: object, flags: Mapping[str, Flag], keys: Keys | None) -> Iterator[BrokenPart]:
    inner = {name.removeprefix(f"{flag.name}."): f for name, f in flags.items() if name.startswith(f"{flag.name}.")}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            if inner or keys or not flag.open:
                rule = f"a map, a list, or JSON; as JSON, line {error.lineno} column {error.colno}: {error.msg}"
                yield BrokenPart("", value, BrokenRule(rule))
            return
    if value is None or not (inner or keys):
        return
    if not isinstance(value, dict):
        yield BrokenPart("", value, BrokenRule("a map"))
        return
    for key, part in value.items():
        yield from _broken_key(flag, str(key), part, inner, flags, keys or Keys(open=flag.open))


def _broken_key(
    flag: Flag, key: str, value: Any, inner: Mapping[str, Flag], flags: Mapping[str, Flag], keys: Keys
) -> Iterator[BrokenPart]:
    if (own := inner.get(key)) is not None:
        broken = own.broken_rule(value)
        if broken is not None:
            yield BrokenPart(key, value, broken)
            return
        part = broken_part(own, value, flags, None)
        if part is not None:
            yield BrokenPart(f"{key}.{part.path}".rstrip("."), part.value, part.broken)
        return
    name = key if key in keys.known else key.replace("-", "_")
    if name not in keys.known:
        rule = f"none of the known keys of {flag.name}" if keys.open else f"no key of {flag.name}"
        nearest = nearest_word(key, [*inner, *keys.known])
        yield BrokenPart(key, value, BrokenRule(rule, nearest, fatal=not keys.open))
    elif (choices := keys.known[name]) and isinstance(value, str) and value not in choices:
        yield BrokenPart(key, value, BrokenRule(f"one of {', '.join(choices)}", nearest_word(value, choices)))
