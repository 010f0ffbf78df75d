"""From one entry of ``space.parameters`` to a parameter."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any, NoReturn

from autotuner.errors import SpaceError
from autotuner.nearest import nearest_word
from autotuner.space.parameters import Choice, FloatRange, IntRange, Parameter

FORMS = "a list of values, {int: [low, high]}, {float: [low, high]} or {choices: {label: value}}"
_KEYS = {"int": ("int", "log", "step"), "float": ("float", "log", "step"), "choices": ("choices",)}


def read_parameter(name: str, given: Any) -> Parameter:
    """Raises SpaceError with the key ``space.parameters.NAME``."""
    key = f"space.parameters.{name}"
    if isinstance(given, list):
        return _listed(name, key, given)
    if not isinstance(given, dict):
        hint = "" if given is None or isinstance(given, str) else "; a fixed value belongs in engine.args"
        _fail(key, given, FORMS + hint)
    forms = [form for form in _KEYS if form in given]
    if len(forms) != 1:
        unknown = next((k for k in given if k not in _KEYS), None)
        _fail(key, given, FORMS, nearest=_nearest(unknown, list(_KEYS)) if not forms else None)
    form = forms[0]
    for extra in given:
        if extra not in _KEYS[form]:
            _fail(f"{key}.{extra}", given[extra], "unknown key", nearest=_nearest(extra, list(_KEYS[form])))
    if form == "choices":
        return _choices(name, key, given["choices"])
    return _int_range(name, key, given) if form == "int" else _float_range(name, key, given)


def _choices(name: str, key: str, given: Any) -> Choice:
    if isinstance(given, list):
        return _listed(name, key, given)
    if not isinstance(given, dict):
        _fail(f"{key}.choices", given, "a map of label: value, or a list of values")
    if not given:
        _fail(f"{key}.choices", given, "at least one value: an empty space has no Config")
    for label in given:
        if not isinstance(label, str):
            _fail(f"{key}.choices", label, "labels are texts: put it in quotes")
    _refuse_repeats(f"{key}.choices", list(given.values()))
    return Choice(name=name, options=tuple(given.values()), labels=tuple(given))


def _listed(name: str, key: str, given: list[Any]) -> Choice:
    if not given:
        _fail(key, given, "at least one value: an empty space has no Config")
    for value in given:
        if isinstance(value, dict | list):
            _fail(key, value, "maps and lists need labels: {choices: {label: value}}")
    _refuse_repeats(key, given)
    labels = [value if isinstance(value, str) else json.dumps(value) for value in given]
    if len(set(labels)) < len(labels):
        labels = [json.dumps(value) for value in given]
    return Choice(name=name, options=tuple(given), labels=tuple(labels))


def _refuse_repeats(key: str, values: list[Any]) -> None:
    seen: set[str] = set()
    for value in values:
        if isinstance(value, float) and not math.isfinite(value):
            _fail(key, value, "finite numbers")
        try:
            text = json.dumps(value, sort_keys=True, allow_nan=False)
        except (TypeError, ValueError):
            _fail(key, value, "texts, finite numbers, true, false, null, and maps and lists of these")
        if text in seen:
            _fail(key, value, "each value once")
        seen.add(text)


def _int_range(name: str, key: str, given: dict[str, Any]) -> IntRange:
    low, high = _bounds(f"{key}.int", given["int"])
    for bound in (low, high):
        if not isinstance(bound, int):
            _fail(f"{key}.int", bound, "two whole numbers")
    step = given.get("step", 1)
    if isinstance(step, bool) or not isinstance(step, int) or step < 1:
        _fail(f"{key}.step", step, "a whole number from 1")
    log = _log(key, given, low, step != 1)
    last = int(low) + (int(high) - int(low)) // step * step
    return IntRange(name=name, low=int(low), high=last, log=log, step=step)


def _float_range(name: str, key: str, given: dict[str, Any]) -> FloatRange:
    low, high = _bounds(f"{key}.float", given["float"])
    step = given.get("step")
    if step is not None and (not _is_number(step) or step <= 0):
        _fail(f"{key}.step", step, "a number above 0")
    log = _log(key, given, low, step is not None)
    found = FloatRange(name=name, low=float(low), high=float(high), log=log, step=None if step is None else float(step))
    return replace(found, high=found.value_at(found.size - 1)) if found.step and found.size else found


def _bounds(key: str, given: Any) -> tuple[float, float]:
    if not isinstance(given, list) or len(given) != 2 or not all(map(_is_number, given)):
        _fail(key, given, "two finite numbers [low, high]")
    if given[0] > given[1]:
        _fail(key, given, "low is at most high: an empty range has no value")
    return given[0], given[1]


def _log(key: str, given: dict[str, Any], low: float, has_step: bool) -> bool:
    log = given.get("log", False)
    if not isinstance(log, bool):
        _fail(f"{key}.log", log, "true or false")
    if log and low <= 0:
        _fail(f"{key}.log", log, f"a range on a log scale starts above 0, not at {low}")
    if log and has_step:
        _fail(f"{key}.step", given["step"], "a range on a log scale has no step")
    return log


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _nearest(name: Any, known: list[str]) -> str | None:
    return nearest_word(name, known)


def _fail(key: str, value: Any, rule: str, nearest: str | None = None) -> NoReturn:
    hint = f"; did you mean {nearest!r}?" if nearest else ""
    raise SpaceError(f"{key}: {value!r}: {rule}{hint}", key=key, value=value, rule=rule, nearest=nearest)
