"""The merging of layers: maps key by key, everything else as a whole, and a record of who said what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autotuner.strict.problem import Problem, study_error
from autotuner.study.layers.origins import Origin, Origins, Path, Setting
from autotuner.study.layers.overrides import apply_override
from autotuner.study.layers.spelled_out import spelled_out

VARIABLE = "env."  # in front of variables among the parameters
_ANY = "*"
# Maps that are one value: a layer above gives the whole of it, or nothing.
_WHOLE: tuple[Path, ...] = (
    ("launcher",),
    ("search", "baseline"),
    ("workload", "load"),
    ("workload", "scenario"),
    ("workload", "extra_body", _ANY),
    ("workload", "lora", "adapters", _ANY),
    ("space", "parameters", _ANY),
    ("engine", "args", _ANY),
    ("engine", "env", _ANY),
    ("engine", "per_engine", _ANY, "args", _ANY),
    ("engine", "per_engine", _ANY, "env", _ANY),
)
# Of two keys that exclude each other the higher layer's stays.
_INSTEAD: Mapping[Path, Path] = {
    ("workload", "scenario"): ("workload", "scenarios"),
    ("workload", "scenarios"): ("workload", "scenario"),
}
# Maps whose keys are the same with - and with _.
_FLAGS: tuple[Path, ...] = (
    ("engine", "args"),
    ("engine", "per_engine", _ANY, "args"),
    ("space", "parameters"),
    ("space", "conditions"),
)


class LayerStack:
    """Layers are put on it from the lowest to the highest; ``data`` is what they make together."""

    def __init__(self) -> None:
        self.data: dict[str, Any] = {}
        self._settings: dict[Path, list[Setting]] = {}

    def patch(self, layer: Mapping[str, Any], origin: Origin) -> None:
        """Lays a map over what is there: maps are merged, all else is replaced, lists too.

        Raises StudyError for a map that has a flag under two spellings.
        """
        if problems := list(two_spellings(layer)):
            raise study_error(problems)
        for path, value in leaves(spelled_out(layer)):
            self._set(path, value, origin)

    def replace(self, layer: Mapping[str, Any], origin: Origin) -> None:
        """As ``patch``, after each top-level section that the layer has was emptied."""
        for section in layer:
            self._clear((section,), origin)
        self.patch(layer, origin)

    def override(self, text: str, origin: Origin) -> None:
        """Sets one key to a value, whatever was there. Raises StudyError."""
        self.data, path = apply_override(self.data, text)
        path = next((path[:n] for n in range(1, len(path)) if is_whole(path[:n])), path)
        for other in self._other_spellings(path):
            self._clear(other, origin)
        if isinstance(value := _at(self.data, path), dict) and not is_whole(path):
            self._clear(path, origin, keep=True)
            for leaf, part in leaves(value, path):
                self._record(leaf, part, origin)
        else:
            self._record(path, value, origin)

    def remove(self, path: Path, origin: Origin) -> None:
        """Takes one value away again, for what ``origin`` says in another place."""
        self._clear(path, origin)

    @property
    def settings(self) -> Mapping[Path, Sequence[Setting]]:
        """What the layers said of each key, the lowest first."""
        return self._settings

    def below(self, layer: Mapping[str, Any], origin: Origin) -> None:
        """Notes what a layer under all others said, which is merged elsewhere."""
        for path, value in leaves(layer):
            if value not in (None, {}, []):
                self._settings.setdefault(path, []).insert(0, Setting(origin, value))

    def origins(self, layers: tuple[Origin, ...]) -> Origins:
        return Origins({path: tuple(settings) for path, settings in self._settings.items()}, layers)

    def _set(self, path: Path, value: Any, origin: Origin) -> None:
        if path in _INSTEAD and value is not None and value != []:
            self._clear(_INSTEAD[path], origin)
        for other in self._other_spellings(path):
            self._clear(other, origin)
        self.data = _with(self.data, path, value)
        self._record(path, value, origin)

    def _record(self, path: Path, value: Any, origin: Origin) -> None:
        """Notes a value; an empty map says nothing."""
        for known, settings in self._settings.items():
            shorter = min(len(known), len(path))
            if known != path and known[:shorter] == path[:shorter] and not settings[-1].removed:
                settings.append(Setting(origin, removed=True))
        settings = self._settings.setdefault(path, [])
        if settings and settings[-1] == Setting(origin, removed=True):
            settings.pop()  # emptied only to be set anew
        if value != {} or is_whole(path):
            settings.append(Setting(origin, value))
        if not settings:
            del self._settings[path]

    def _clear(self, path: Path, origin: Origin, keep: bool = False) -> None:
        if not keep:
            self.data = _without(self.data, path)
        for known, settings in self._settings.items():
            if known[: len(path)] == path and not settings[-1].removed:
                settings.append(Setting(origin, removed=True))

    def _other_spellings(self, path: Path) -> list[Path]:
        if not any(_matches(path[:-1], flags) for flags in _FLAGS):
            return []
        there = _at(self.data, path[:-1])
        names = there if isinstance(there, dict) else {}
        return [(*path[:-1], name) for name in names if name != path[-1] and plain(name) == plain(path[-1])]


def two_spellings(data: Mapping[str, Any], above: Path = ()) -> Iterator[Problem]:
    """Flags that one map of a layer has twice, with ``-`` and with ``_``."""
    is_of_flags = any(_matches(above, flags) for flags in _FLAGS)
    seen: dict[str, str] = {}
    for name, value in data.items():
        if is_of_flags and (first := seen.setdefault(plain(name), name)) != name:
            yield Problem(".".join((*above, name)), value, f"is the same flag as {'.'.join((*above, first))}")
        elif isinstance(value, Mapping) and not is_of_flags:
            yield from two_spellings(value, (*above, name))


def leaves(data: Mapping[str, Any], above: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value of a map that is set as a whole, with its path; an empty map is one."""
    for name, value in data.items():
        path = (*above, name)
        if isinstance(value, dict) and value and not is_whole(path):
            yield from leaves(value, path)
        else:
            yield path, value


def is_whole(path: Path) -> bool:
    return any(_matches(path, whole) for whole in _WHOLE)


def plain(name: str) -> str:
    """A flag's name, so that two spellings of it are equal; a variable's stays as it is."""
    return name if name.startswith(VARIABLE) else name.lstrip("-").replace("_", "-")


def _matches(path: Path, pattern: Path) -> bool:
    return len(path) == len(pattern) and all(p in (_ANY, name) for name, p in zip(path, pattern, strict=True))


def _at(data: Any, path: Path) -> Any:
    for name in path:
        data = data.get(name) if isinstance(data, dict) else None
    return data


def _with(data: Any, path: Path, value: Any) -> Any:
    """A copy of ``data`` with the value in place; an empty map leaves a map as it is."""
    if not path:
        return data if value == {} and isinstance(data, dict) else value
    there = data if isinstance(data, dict) else {}
    return {**there, path[0]: _with(there.get(path[0]), path[1:], value)}


def _without(data: Any, path: Path) -> Any:
    if not isinstance(data, dict) or path[0] not in data:
        return data
    if len(path) == 1:
        return {name: value for name, value in data.items() if name != path[0]}
    return {**data, path[0]: _without(data[path[0]], path[1:])}
