"""Origins: which layer set each value of a study, and what it overrode."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from autotuner.errors import StudyError
from autotuner.strict.problem import Problem, nearest_name, study_error
from autotuner.strict.validate import keys_below
from autotuner.strict.yaml_text import yaml_scalar
from autotuner.study.model import Study

Path = tuple[str, ...]
_MERGED = ("profiles", "space.include")  # empty in a resolved study: told as they were given
_ADDED_UP = ("space.constraints",)  # every layer's hold


class LayerKind(StrEnum):
    """Where a value can come from, the lowest first."""

    DEFAULT = "default"
    SPACE = "space"
    ENGINE = "engine"
    HARDWARE = "hardware"
    MODEL = "model"
    PROFILE = "profile"
    STUDY = "study"
    SET = "set"

    @property
    def is_the_users(self) -> bool:
        """Whether the value was written for this one study."""
        return self in (LayerKind.STUDY, LayerKind.SET)


@dataclass(frozen=True)
class Origin:
    """One layer. ``name`` is the layer's name or file, or the text of an override."""

    kind: LayerKind
    name: str = ""

    def __str__(self) -> str:
        match self.kind:
            case LayerKind.DEFAULT:
                return "the default"
            case LayerKind.STUDY:
                return self.name
            case LayerKind.SET:
                return f"--set {self.name}"
        return f"{self.kind} layer {self.name}" if self.kind is not LayerKind.SPACE else f"space file {self.name}"


DEFAULT = Origin(LayerKind.DEFAULT)


@dataclass(frozen=True)
class Setting:
    """What one layer says of one key; ``removed``: it takes away what the layers below it say."""

    origin: Origin
    value: Any = None
    removed: bool = False


@dataclass(frozen=True)
class Explanation:
    """A key's value in the resolved study, the layer it is from, and what that overrode, the nearest first."""

    key: str
    value: Any
    origin: Origin
    overridden: tuple[Setting, ...] = ()

    def lines(self) -> list[str]:
        """For people: the value, the layer, and a line for each that it overrode."""
        over = "with" if self.key in _ADDED_UP else "over"
        below = (
            f"  taken away by {setting.origin}"
            if setting.removed
            else f"  {over} {yaml_scalar(setting.value)}, set by {setting.origin}"
            for setting in self.overridden
        )
        return [f"{self.key}: {yaml_scalar(self.value)}", f"  set by {self.origin}", *below]

    def as_dict(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "value": self.value,
            **_named("set_by", self.origin),
            "overridden": [
                {**_named("set_by", setting.origin), "value": setting.value, "removed": setting.removed}
                for setting in self.overridden
            ],
        }


@dataclass(frozen=True)
class Origins:
    """What the layers said: key path → settings, the lowest layer first. ``layers`` are those that applied."""

    settings: Mapping[Path, Sequence[Setting]] = field(default_factory=dict)
    layers: tuple[Origin, ...] = ()

    def of(self, key: str) -> Origin:
        """The layer that set ``key``, or the nearest map or list above it that one layer set as a whole."""
        parts = key.split(".")
        by_text = {".".join(path): settings for path, settings in self.settings.items()}
        for length in range(len(parts), 0, -1):
            settings = by_text.get(".".join(parts[:length]))
            if settings:
                return DEFAULT if settings[-1].removed else settings[-1].origin
        return DEFAULT

    def of_part(self, key: str) -> Origin:
        """The layer that set ``key``, or something under it."""
        below = (s for path, s in self.settings.items() if ".".join(path).startswith(f"{key}.") and not s[-1].removed)
        found = self.of(key)
        return found if found != DEFAULT else next((settings[-1].origin for settings in below), DEFAULT)

    def explain(self, study: Study, key: str) -> list[Explanation]:
        """``key`` of the resolved study, or every set key under it. Raises StudyError for an unknown one."""
        data = study.model_dump(mode="json")
        path = _path_in(data, key) or next((path for path in self.settings if ".".join(path) == key), None)
        if path is None:
            if key in set(keys_below(Study)):
                return [Explanation(key, None, self._above(key))]  # a part of what is not set
            raise _unknown(key, data)
        found = [self._explained(leaf, value) for leaf, value in self._leaves(path, _value_at(data, path))]
        told = [one for one in found if one.key == key or one.value is not None or one.overridden]
        return told or [Explanation(key, _value_at(data, path), DEFAULT)]

    def _explained(self, path: Path, value: Any) -> Explanation:
        key = ".".join(path)
        settings = list(self.settings.get(path, ()))
        if key in _MERGED and settings:
            value = settings[-1].value
        if not settings:
            return Explanation(key, value, self._above(key))
        return Explanation(
            key, value, self.of(key), tuple(reversed(settings if settings[-1].removed else settings[:-1]))
        )

    def _above(self, key: str) -> Origin:
        """The layer of what is above ``key``, where that was set as one value."""
        return self.of(key.rpartition(".")[0])

    def _leaves(self, path: Path, value: Any) -> Iterator[tuple[Path, Any]]:
        """The keys under ``path`` that were set, or have a default, one by one."""
        settings = self.settings.get(path)
        if (settings and not settings[-1].removed) or not isinstance(value, dict) or not value:
            yield path, value
            return
        for name, below in value.items():
            yield from self._leaves((*path, name), below)
        for known in self.settings:  # taken away by a layer above
            if known[: len(path)] == path and len(known) == len(path) + 1 and known[-1] not in value:
                yield known, None


def _named(key: str, origin: Origin) -> dict[str, str]:
    return {key: str(origin), "layer": origin.kind.value}


def _path_in(data: Any, key: str) -> Path | None:
    """The path that ``key`` spells: names may have dots of their own."""
    if not isinstance(data, dict):
        return None
    if key in data:
        return (key,)
    for name, value in data.items():
        rest = _path_in(value, key[len(name) + 1 :]) if key.startswith(f"{name}.") else None
        if rest is not None:
            return (name, *rest)
    return None


def _value_at(data: Any, path: Path) -> Any:
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data


def _unknown(key: str, data: dict[str, Any]) -> StudyError:
    known = {*keys_below(Study), *_keys(data, "")}
    last = [name for name in known if name.rpartition(".")[2] == key.rpartition(".")[2]]
    nearest = nearest_name(key, sorted(last), cutoff=0.75) or nearest_name(key, sorted(known))
    return study_error([Problem(key, None, "no key of this study", nearest, shows_value=False)])


def _keys(data: Any, above: str) -> Iterator[str]:
    if isinstance(data, dict):
        for name, value in data.items():
            yield f"{above}{name}"
            yield from _keys(value, f"{above}{name}.")
