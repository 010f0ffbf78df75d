"""Flag catalogues: which flags a version of a server has, as data, and what is wrong with a value.

A catalogue is ``catalogues/<engine>-<version>.yaml`` in this package: flag name (long form, no dashes)
→ type, choices, range, default, aliases; of a map also ``keys``, name → choices or null. ``flexible: true``: names may
go on into a map, as vLLM takes them. ``synonyms/<engine>.yaml`` names what engines call differently: concept → flag
name, and how that flag differs from the others', where it does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from importlib import resources
from typing import Any

import yaml

from autotuner.engines.flags.flag import Flag, FlagType, Place
from autotuner.engines.flags.human_integers import Suffixes
from autotuner.engines.flags.spelling import Spelling
from autotuner.engines.flags.structured import Keys, broken_part
from autotuner.engines.problem import Problem
from autotuner.errors import StudyError
from autotuner.nearest import nearest_word

AUTO = "auto"
_PARTS = ("word", "end", "post", "number")  # what may come next in a version, lowest first
# What a study says in names that mean the same on every engine, and therefore in no flag of the engine.
_NORMALISED = {
    "tensor_parallel": "space.parallelism.tp",
    "pipeline_parallel": "space.parallelism.pp",
    "data_parallel": "space.parallelism.dp",
    "expert_parallel": "space.parallelism.ep",
    "context_parallel": "space.parallelism.cp",
    "decode_context_parallel": "space.parallelism.dcp",
}


@dataclass(frozen=True)
class Catalogue:
    """Every flag of one version of one engine that a study may name."""

    engine: str
    version: str
    flags: Mapping[str, Flag]
    source: str = ""
    synonyms: Mapping[str, str] = field(default_factory=dict)  # concept → flag name
    differences: Mapping[str, str] = field(default_factory=dict)  # concept → how the flag differs from it elsewhere
    keys: Mapping[str, Keys] = field(default_factory=dict)  # flag name → what its map may hold
    flexible: bool = False  # names may have dashes in front, and go on with a key of the map behind a dot

    def find(self, name: str) -> Flag | None:
        """The flag that a name stands for in any spelling, or ``None``."""
        spelling = self.spelling(name)
        return None if spelling is None else spelling.flag

    def spelling(self, name: str) -> Spelling | None:
        """What a name stands for: a flag's own name or alias, dashes and underscores alike, the twin that turns it off,
        a key of its map, or the flag with its value; ``None`` where it is none of them."""
        if name not in self._spelled:
            self._spelled[name] = self._spell(name.lstrip("-") if self.flexible else name)
        return self._spelled[name]

    def means(self, concept: str) -> Flag | None:
        """The flag that sets ``concept`` (``gpu_memory_fraction``), or ``None``."""
        name = self.synonyms.get(concept)
        return None if name is None else self.find(name)

    def problem(self, key: str, name: str, value: object) -> Problem | None:
        """What is wrong with ``name: value``, told under ``key``; a deprecated flag is a warning."""
        spelling = self.spelling(name)
        judged_by = f"{self.engine} {self.version}"
        if spelling is None:
            nearest, hint = self._stands_for(name)
            return Problem(key, value, f"no flag of {judged_by}{hint}", nearest)
        flag, read = spelling.flag, value if spelling.takes_as_given else spelling.whole(value)
        broken = (spelling.broken_rule(value) if spelling.glued else None) or flag.broken_rule(read)
        if broken is not None:
            in_name = spelling.glued is not None and read is not None and broken.nearest is not None
            nearest = f"{flag.glued}{broken.nearest}" if in_name and value is True else broken.nearest
            return Problem(key, value, f"{broken.rule} ({judged_by})", nearest, broken.fatal)
        part = broken_part(flag, read, self.flags, self.keys.get(flag.name))
        if part is not None:
            above = key.removesuffix("." + ".".join(spelling.path)) if spelling.path else key
            inner, broken = f"{above}.{part.path}".rstrip("."), part.broken
            return Problem(inner, part.value, f"{broken.rule} ({judged_by})", broken.nearest, broken.fatal)
        if flag.deprecated is not None and value is not None:
            return Problem(key, value, f"deprecated in {judged_by}: {flag.deprecated}", fatal=False)
        return None

    @cached_property
    def _by_name(self) -> dict[str, Flag]:
        aliases = {_plain(alias): flag for flag in self.flags.values() for alias in flag.aliases}
        return aliases | {_plain(name): flag for name, flag in self.flags.items()}

    @cached_property
    def _spelled(self) -> dict[str, Spelling | None]:
        """What was asked for already: names are few, and judged by the ten thousand."""
        return {}

    @cached_property
    def _twins(self) -> dict[str, Flag]:
        return {_plain(twin): flag for flag in self.flags.values() for twin in flag.twins}

    def _spell(self, name: str) -> Spelling | None:
        if (flag := self._by_name.get(_plain(name))) is not None:
            return Spelling(flag)
        if (flag := self._twins.get(_plain(name))) is not None:
            return Spelling(flag, is_negative=True)
        for flag in self.flags.values():
            if flag.glued is not None and name.startswith(flag.glued):
                value = name.removeprefix(flag.glued)
                return None if value[:1] == "." else Spelling(flag, glued=value.removeprefix("=") or None)
        head, *path = name.split(".")
        above = self._by_name.get(_plain(head)) if self.flexible and all(path) and path else None
        return Spelling(above, tuple(path)) if above is not None and above.type is FlagType.JSON else None

    def _stands_for(self, name: str) -> tuple[str | None, str]:
        """What a flag that is not here should be, and why."""
        if (former := self._by_former_name(name.lstrip("-"))) is not None:
            return former
        other = _versions_with(self.engine, name, self.version)
        if other:
            return self._nearest(name), f"; {', '.join(other)} {'has' if len(other) == 1 else 'have'} it"
        foreign = ""
        for engine in catalogued_engines():
            theirs = None if engine == self.engine else load_catalogue(engine)
            if theirs is None or (flag := theirs.find(name)) is None:
                continue
            concepts = [c for c, known in theirs.synonyms.items() if theirs.find(known) is flag]
            for concept, ours in ((concept, self.means(concept)) for concept in concepts):
                if ours is not None:
                    return ours.name, self._told_as(concept, ours, theirs, flag)
            foreign = foreign or f"; it is one of {engine}'s, and none here does the same"
        return (None, foreign) if foreign else (self._nearest(name), "")

    def _by_former_name(self, name: str) -> tuple[str, str] | None:
        """A key of a map under the letter that older versions had for it: ``O.level``."""
        head, dot, path = name.partition(".")
        flag = next((flag for flag in self.flags.values() if flag.former == head), None)
        if flag is None or not dot:
            return None
        first, *inner = path.split(".")
        known = self.keys.get(flag.name, Keys()).known
        key = first if first in known else nearest_word(first, known) or first
        return ".".join((flag.name, key, *inner)), f"; -{head} was older versions' name for {flag.name}"

    def _told_as(self, concept: str, ours: Flag, theirs: Catalogue, flag: Flag) -> str:
        """What another engine's flag is here: the same by another name, or something that differs."""
        where = f", which {ours.reserved}" if ours.reserved else ""
        notes = {flag.name: theirs.differences.get(concept), ours.name: self.differences.get(concept)}
        if notes[flag.name] == notes[ours.name]:
            return f"; it is {theirs.engine}'s name for {ours.name}{where}"
        told = "; ".join(f"{name}: {note}" for name, note in notes.items() if note)
        return f"; it is {theirs.engine}'s, and {ours.name}{where} is the like of it, not the same ({told})"

    def _nearest(self, name: str) -> str | None:
        return nearest_word(name, self._settable_names())

    def _settable_names(self) -> Iterator[str]:
        return (flag.name for flag in self.flags.values() if flag.reserved is None)


@cache
def catalogued_engines() -> tuple[str, ...]:
    """The engines that have a flag catalogue."""
    return tuple(sorted({name.rpartition("-")[0] for name in _catalogue_names()}))


@cache
def catalogue_versions(engine: str) -> tuple[str, ...]:
    """The versions of ``engine`` that have a catalogue, oldest first."""
    found = [name.rpartition("-")[2] for name in _catalogue_names() if name.rpartition("-")[0] == engine]
    return tuple(sorted(found, key=version_key))


def load_catalogue(engine: str, version: str | None = None) -> Catalogue:
    """The catalogue of ``engine`` in ``version``, by default (and for ``auto``) the newest.

    Raises StudyError for an unknown one.
    """
    known = catalogue_versions(engine)
    if version is None or version == AUTO:
        version = known[-1]
    if version not in known:
        rule = f"{engine} has flag catalogues for {', '.join(known)}; auto asks the server itself"
        nearest = meant_version(version, known)
        message = f"engine.version: {version!r}: {rule}; did you mean {nearest!r}?"
        raise StudyError(message, key="engine.version", value=version, rule=rule, nearest=nearest)
    return _read(engine, version)


def nearest_version(version: str, known: tuple[str, ...]) -> str:
    """The catalogued version that ``version`` is most like: the newest that is not newer, else the oldest."""
    older = [candidate for candidate in known if version_key(candidate) <= version_key(version)]
    return older[-1] if older else known[0]


def meant_version(version: str, known: tuple[str, ...]) -> str:
    """The known version whose numbers are nearest, the first ones first: 0.27 is 0.27.0, 0.31 is nearer to 0.32.0.

    ``known``: oldest first. What is newer than all is the newest.
    """
    if version_key(version) > version_key(known[-1]):
        return known[-1]
    return min(known, key=lambda candidate: _distances(version, candidate))


def _distances(version: str, other: str) -> tuple[int, ...]:
    numbers, others = (list(map(int, re.findall(r"\d+", text))) for text in (version, other))
    longest = max(len(numbers), len(others))
    return tuple(abs(a - b) for a, b in zip(*(n + [0] * (longest - len(n)) for n in (numbers, others)), strict=True))


def version_key(version: str) -> tuple[tuple[int | str, ...], ...]:
    """Orders versions by their numbers: 0.9 < 0.27, b9999 < b11549, 1.3.0rc20 < 1.3.0 < 1.3.0.post1."""
    parts = re.findall(r"\d+|[a-z]+", version.lower())
    return (*map(_part_key, parts), (_PARTS.index("end"),))


def _part_key(part: str) -> tuple[int | str, ...]:
    if part.isdigit():
        return _PARTS.index("number"), int(part)
    return (_PARTS.index("post"),) if part == "post" else (_PARTS.index("word"), part)


@cache
def _catalogue_names() -> tuple[str, ...]:
    entries = resources.files("autotuner.engines.flags").joinpath("catalogues").iterdir()
    return tuple(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))


def _versions_with(engine: str, name: str, except_version: str) -> list[str]:
    """Other versions of the engine that have this flag."""
    others = (version for version in catalogue_versions(engine) if version != except_version)
    return [f"{engine} {version}" for version in others if _read(engine, version).find(name) is not None]


@cache
def _read(engine: str, version: str) -> Catalogue:
    document = _read_yaml("catalogues", f"{engine}-{version}.yaml")
    where = document.get("where", Place.CLI)  # of flags that don't say
    flexible = document.get("flexible", False)
    flags = {}
    for name, fields in document["flags"].items():
        # vLLM reads letters behind numbers in the JSON of every map that it makes an object of.
        more = {"suffixes": Suffixes.SMALL_AND_CAPITAL} if flexible and "keys" in fields else {}
        flags[name] = _flag(name, {"where": where, **more, **fields})
    said = _read_yaml("synonyms", f"{engine}.yaml")
    synonyms = {concept: one["flag"] if isinstance(one, dict) else one for concept, one in said.items()}
    for concept, normalised in _NORMALISED.items():
        flag = flags.get(synonyms.get(concept, ""))
        if flag is not None and flag.reserved is None:
            rule = f"comes from `{normalised}`, which reserves the GPUs as well"
            flags[flag.name] = replace(flag, reserved=rule)
    return Catalogue(
        engine=document["engine"],
        version=str(document["version"]),
        flags=flags,
        source=document.get("source", ""),
        synonyms=synonyms,
        differences={concept: one["but"] for concept, one in said.items() if isinstance(one, dict)},
        flexible=flexible,
        keys={name: _keys(fields) for name, fields in document["flags"].items() if "keys" in fields},
    )


def _read_yaml(folder: str, name: str) -> dict[str, Any]:
    path = resources.files("autotuner.engines.flags").joinpath(folder, name)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where libyaml is there
    return dict(yaml.load(path.read_text(encoding="utf-8"), Loader=loader) or {})  # noqa: S506  # both are safe


def _keys(fields: Mapping[str, Any]) -> Keys:
    known = {name: tuple(map(str, choices or ())) for name, choices in fields["keys"].items()}
    return Keys(known, fields.get("open", False))


def _flag(name: str, fields: Mapping[str, Any]) -> Flag:
    apart = ("type", "aliases", "choices", "also", "where", "keys", "suffixes", "also_off")
    plain = {key: value for key, value in fields.items() if key not in apart}
    return Flag(
        name=name,
        type=FlagType(fields["type"]),
        aliases=tuple(fields.get("aliases", ())),
        choices=tuple(str(choice) for choice in fields.get("choices", ())),
        also=tuple(fields.get("also", ())),
        where=Place(fields["where"]),
        also_off=tuple(fields.get("also_off", ())),
        suffixes=Suffixes(fields["suffixes"]) if "suffixes" in fields else None,
        **plain,
    )


def _plain(name: str) -> str:
    return name.replace("_", "-")
