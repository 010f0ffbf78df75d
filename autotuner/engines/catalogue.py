"""Flag catalogues: which flags a version of a server has, as data, and what is wrong with a value.

A catalogue is ``catalogues/<engine>-<version>.yaml`` in this package: flag name (long form, no dashes)
→ type, choices, range, default, aliases.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

import yaml

from autotuner.engines.engine import Problem
from autotuner.errors import StudyError


class FlagType(StrEnum):
    INT = "int"
    FLOAT = "float"
    STR = "str"
    CHOICE = "choice"
    FLAG = "flag"  # --name when true, --no-name when false
    SWITCH = "switch"  # --name when true, nothing when false


@dataclass(frozen=True)
class Flag:
    """One flag of a server. ``reserved`` says why a study may not set it, ``None`` where it may."""

    name: str
    type: FlagType
    aliases: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    min: float | None = None
    max: float | None = None
    pattern: str | None = None
    default: Any = None
    negative: str | None = None
    reserved: str | None = None

    def broken_rule(self, value: object) -> tuple[str, str | None] | None:
        """The rule that ``value`` breaks, with the nearest choice if there is one; ``None`` when it is fine.

        ``None`` stands for the server's own default and is always fine.
        """
        if value is None:
            return None
        if self.reserved is not None:
            return f"can't be set: it {self.reserved}", None
        if self.type in (FlagType.FLAG, FlagType.SWITCH):
            return None if isinstance(value, bool) else ("true or false", None)
        if self.type is FlagType.CHOICE:
            return self._broken_choice(value)
        if self.type is FlagType.STR:
            return self._broken_text(value)
        return self._broken_number(value)

    def render(self, value: object) -> tuple[str, ...]:
        """The argv words that set the flag to ``value``; none at all for ``None``."""
        if value is None:
            return ()
        if self.type is FlagType.SWITCH:
            return (f"--{self.name}",) if value else ()
        if self.type is FlagType.FLAG:
            return (f"--{self.name}" if value else f"--{self.negative or f'no-{self.name}'}",)
        return f"--{self.name}", self.as_word(value)

    def as_word(self, value: object) -> str:
        """``value`` as the server spells it: YAML reads a bare ``on`` as true, and numbers stay plain."""
        if isinstance(value, bool):
            return "on" if value else "off"
        return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)

    def _broken_choice(self, value: object) -> tuple[str, str | None] | None:
        word = self.as_word(value)
        if word in self.choices:
            return None
        return f"one of {', '.join(self.choices)}", _nearest(word, self.choices)

    def _broken_text(self, value: object) -> tuple[str, str | None] | None:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return "a text", None
        if self.pattern is not None and re.fullmatch(self.pattern, str(value)) is None:
            return f"must match {self.pattern}", None
        return None

    def _broken_number(self, value: object) -> tuple[str, str | None] | None:
        kind = "a whole number" if self.type is FlagType.INT else "a number"
        fits = isinstance(value, int) or (isinstance(value, float) and self.type is FlagType.FLOAT)
        if isinstance(value, bool) or not fits:
            return kind, None
        assert isinstance(value, int | float)
        if self.min is not None and not value >= self.min:
            return f"{kind}, at least {self.min:g}", None
        if self.max is not None and not value <= self.max:
            return f"{kind}, at most {self.max:g}", None
        return None


@dataclass(frozen=True)
class Catalogue:
    """Every flag of one version of one engine that a study may name."""

    engine: str
    version: str
    flags: Mapping[str, Flag]

    def find(self, name: str) -> Flag | None:
        """The flag of this name or alias, or ``None``."""
        flag = self.flags.get(name)
        return flag or next((f for f in self.flags.values() if name in f.aliases), None)

    def problem(self, key: str, name: str, value: object) -> Problem | None:
        """What is wrong with ``name: value``, told under ``key``."""
        flag = self.find(name)
        if flag is None:
            rule = f"no flag of {self.engine} {self.version}"
            return Problem(key, value, rule, _nearest(name, list(self._settable_names())))
        broken = flag.broken_rule(value)
        return None if broken is None else Problem(key, value, *broken)

    def _settable_names(self) -> Iterator[str]:
        for flag in self.flags.values():
            if flag.reserved is None:
                yield flag.name


def _nearest(name: str, choices: list[str] | tuple[str, ...]) -> str | None:
    normal = name.lower().lstrip("-").replace("_", "-")
    return next(iter(difflib.get_close_matches(normal, choices, n=1, cutoff=0.5)), None) or next(
        iter(difflib.get_close_matches(name, choices, n=1, cutoff=0.5)), None
    )


def catalogue_versions(engine: str) -> tuple[str, ...]:
    """The versions of ``engine`` that have a catalogue, oldest first."""
    prefix, suffix = f"{engine}-", ".yaml"
    names = (entry.name for entry in resources.files("autotuner.engines").joinpath("catalogues").iterdir())
    found = [name[len(prefix) : -len(suffix)] for name in names if name.startswith(prefix) and name.endswith(suffix)]
    return tuple(sorted(found, key=_version_key))


def load_catalogue(engine: str, version: str | None = None) -> Catalogue:
    """The catalogue of ``engine`` in ``version``, by default the newest. Raises StudyError for an unknown one."""
    known = catalogue_versions(engine)
    if version is None:
        version = known[-1]
    if version not in known:
        raise StudyError(
            f"engine.version: {version!r}: {engine} has flag catalogues for {', '.join(known)}",
            key="engine.version",
            value=version,
            rule=f"one of {', '.join(known)}",
            nearest=_nearest(version, known) or known[-1],
        )
    return _read(engine, version)


@cache
def _read(engine: str, version: str) -> Catalogue:
    path = resources.files("autotuner.engines").joinpath("catalogues", f"{engine}-{version}.yaml")
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    flags = {name: _flag(name, fields) for name, fields in document["flags"].items()}
    return Catalogue(engine=document["engine"], version=document["version"], flags=flags)


def _flag(name: str, fields: Mapping[str, Any]) -> Flag:
    plain = {key: value for key, value in fields.items() if key not in ("type", "aliases", "choices")}
    return Flag(
        name=name,
        type=FlagType(fields["type"]),
        aliases=tuple(fields.get("aliases", ())),
        choices=tuple(fields.get("choices", ())),
        **plain,
    )


def _version_key(version: str) -> tuple[tuple[int, int | str], ...]:
    """Orders versions by their numbers: 0.9 before 0.27, b9999 before b11549."""
    parts = re.findall(r"\d+|[a-z]+", version.lower())
    return tuple((1, int(part)) if part.isdigit() else (0, part) for part in parts)
