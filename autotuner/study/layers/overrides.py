"""Overrides: ``key.path=value`` texts laid over a study file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from autotuner.errors import StudyError
from autotuner.strict.written import kinds_at
from autotuner.strict.yaml_text import parse_yaml
from autotuner.study.layers.spelled_out import spelled_out_override
from autotuner.study.model import Study

_ENV = "env."  # parameters of the environment have a dot in their names


def apply_overrides(data: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """A copy of ``data`` with each override in place. Raises StudyError."""
    for override in overrides:
        data, _ = apply_override(data, override)
    return data


def apply_override(data: dict[str, Any], override: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A copy of ``data`` with one override in place, and the path of what it set: a list as a whole.

    Maps on the way that are missing are made. A key that itself has dots is found where it is there already.
    Raises StudyError.
    """
    path, sign, text = override.partition("=")
    keys = path.strip().split(".")
    if not sign or not all(keys):
        rule = "key.path=value, as search.trials=20"
        raise StudyError(f"--set {override}: {rule}", key=path, value=override, rule=rule)
    value = parse_yaml(text, f"--set {override}", path.strip(), kinds_at((Study,), keys))
    keys, value = spelled_out_override(keys, value)
    changed: dict[str, Any] = _with(data, keys, value, override, "")
    return changed, tuple(_place(data, keys, ""))


def _place(data: Any, keys: list[str], above: str) -> Iterator[str]:
    """The keys of the maps on the way to a value, up to the first list."""
    if keys and not isinstance(data, list):
        there = data if isinstance(data, dict) else {}
        key, rest = _split(there, keys, above)
        yield key
        yield from _place(there.get(key), rest, f"{above}.{key}" if above else key)


def _with(data: Any, keys: list[str], value: Any, override: str, above: str) -> Any:
    if not keys:
        return value
    if isinstance(data, list):
        return _with_item(data, keys, value, override, above)
    if data is None:
        data = {}
    if not isinstance(data, dict):
        rule = f"{above} is {data!r}, not a map that could hold {'.'.join(keys)}"
        raise StudyError(f"--set {override}: {rule}", key=above, value=data, rule=rule)
    key, rest = _split(data, keys, above)
    return {**data, key: _with(data.get(key), rest, value, override, f"{above}.{key}" if above else key)}


def _with_item(data: list[Any], keys: list[str], value: Any, override: str, above: str) -> list[Any]:
    if not keys[0].isdecimal() or int(keys[0]) >= len(data):
        rule = f"{above} is a list of {len(data)}: name one by its number, from 0"
        raise StudyError(f"--set {override}: {rule}", key=above, value=keys[0], rule=rule)
    index = int(keys[0])
    changed = _with(data[index], keys[1:], value, override, f"{above}.{index}")
    return [*data[:index], changed, *data[index + 1 :]]


def _split(data: dict[str, Any], keys: list[str], above: str) -> tuple[str, list[str]]:
    """The first key and those under it: the longest key that is there already, else up to the next dot."""
    for length in range(len(keys), 1, -1):
        if ".".join(keys[:length]) in data:
            return ".".join(keys[:length]), keys[length:]
    if above in ("space.parameters", "space.conditions", "search.baseline") and f"{keys[0]}." == _ENV and len(keys) > 1:
        return f"{keys[0]}.{keys[1]}", keys[2:]
    return keys[0], keys[1:]
