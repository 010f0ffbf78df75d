"""RuleBook: what one version of an engine can't do, ready to judge many Configs fast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from autotuner.engines.engine import Engine, EngineRule
from autotuner.engines.flags.catalogue import load_catalogue
from autotuner.space import Expression, Value


@dataclass(frozen=True)
class BrokenEngineRule:
    """``named`` are the values that the rule looks at, the normalised ones where there are any."""

    rule: EngineRule
    named: Mapping[str, Value]


@dataclass(frozen=True)
class _Entry:
    """``places``: for each name of the rule, its place in the book's list of values."""

    rule: EngineRule
    names: tuple[str, ...]
    places: tuple[int, ...]


@dataclass(frozen=True)
class RuleBook:
    """``flags``: each name of rules that is a flag, as (name in expressions, flag, the server's default)."""

    normalised: tuple[str, ...]
    flags: tuple[tuple[str, str, Value], ...]
    entries: tuple[_Entry, ...]

    def broken(self, flags: Mapping[str, Any], normalised: Mapping[str, Any]) -> BrokenEngineRule | None:
        """The first rule that a server breaks. ``flags`` are under their long names."""
        values = [normalised[name] for name in self.normalised]
        values += [_scalar(flags.get(flag, default)) for _, flag, default in self.flags]
        for entry in self.entries:
            seen = tuple([values[place] for place in entry.places])
            if _holds(entry.rule.text, seen) is False:
                told = dict(zip(entry.names, seen, strict=True))
                return BrokenEngineRule(entry.rule, {n: v for n, v in told.items() if n in normalised} or told)
        return None


@cache
def rule_book(engine: Engine, version: str, normalised: Sequence[str]) -> RuleBook:
    """The book of a catalogued version; ``normalised`` are the names that are no flags."""
    catalogue = load_catalogue(engine.name, version)
    rules = engine.rules(version)
    names = dict.fromkeys(name for rule in rules for name in _parsed(rule.text).names)
    own = tuple(name for name in names if name in normalised)
    flags = []
    for name in names:
        if name not in own:
            flag = catalogue.find(name)
            flags.append((name, flag.name, _scalar(flag.default)) if flag else (name, name, None))
    places = {name: place for place, name in enumerate((*own, *(name for name, _, _ in flags)))}
    entries = (_Entry(r, found := _parsed(r.text).names, tuple(places[name] for name in found)) for r in rules)
    return RuleBook(own, tuple(flags), tuple(entries))


@cache
def _parsed(text: str) -> Expression:
    return Expression.parse(text, "engine")


@lru_cache(maxsize=1 << 16)  # the Configs of a space share most of what rules look at
def _holds(text: str, values: tuple[Value, ...]) -> bool | None:
    expression = _parsed(text)
    return expression.truth(dict(zip(expression.names, values, strict=True)))


def _scalar(value: Any) -> Value:
    return value if isinstance(value, bool | int | float | str) else None
