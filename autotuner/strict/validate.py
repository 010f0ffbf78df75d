"""From a plain map to a Study: pydantic's errors in plain words, with the key's path and the nearest name."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from autotuner.nearest import nearest_in_range
from autotuner.strict.durations import UnitError, read_milliseconds
from autotuner.strict.problem import Problem, nearest_name, study_error

Section = TypeVar("Section", bound=BaseModel)
_KINDS = ("process", "docker", "endpoint", "replay")  # of launchers
_MAY_BE_SECRET = frozenset({"env", "headers"})  # maps whose values are in no message
_RULES = {
    "missing": "is required",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a map",
    "model_type": "a map",
    "invalid_key": "keys are text: put it in quotes",
    "string_too_short": "text that is not empty",
    "too_short": "at least {min_length} value(s)",
    "too_long": "at most {max_length} values",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "string_pattern_mismatch": "must match {pattern}",
    "literal_error": "one of {expected}",
}


def validate(kind: type[Section], data: object, prefix: str = "") -> Section:
    """``data`` as a frozen section. Raises StudyError with every problem; ``prefix`` starts the keys' paths."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        problems = [_problem(kind, dict(details), prefix) for details in error.errors(include_url=False)]
        raise study_error(sorted(problems, key=lambda problem: problem.rule == _RULES["missing"])) from None


def keys_below(kind: type[BaseModel], above: str = "") -> Iterator[str]:
    """Every key that a section may have, and those of the sections in it, as paths with dots."""
    for name, field in kind.model_fields.items():
        yield f"{above}{name}"
        if not _is_open_map(field.annotation):
            for section in _sections(field.annotation):
                yield from keys_below(section, f"{above}{name}.")


def _is_open_map(annotation: object) -> bool:
    return typing.get_origin(annotation) is dict


def _problem(kind: type[BaseModel], details: Mapping[str, Any], prefix: str) -> Problem:
    # Elements that start with | name the form of a union: see ``forms.py``.
    place = [part for part in details["loc"] if not str(part).startswith("|") and part != "[key]"]
    key = ".".join([*([prefix] if prefix else []), *map(str, place)]) or "the study"
    value = details["input"]
    if _MAY_BE_SECRET.intersection(map(str, place[:-1])):
        value = "(not shown)"
    match details["type"]:
        case "extra_forbidden":
            return _unknown_key(kind, place, key, value)
        case "missing":
            return Problem(key, None, _RULES["missing"], shows_value=False)
        case "unit":
            return Problem(key, value, details["msg"], details["ctx"]["nearest"])
        case "form":
            return _wrong_form(kind, place, key, value, details["msg"])
        case "string_type":
            quote = f': put it in quotes, "{value}"' if isinstance(value, int | float) else ""
            return Problem(key, value, "text" + quote)
        case "literal_error":
            return _wrong_choice(key, value, details["ctx"]["expected"])
    if details["type"] == "float_type" and key.endswith("_ms") and isinstance(value, str):
        return Problem(key, value, "a number of milliseconds", _in_milliseconds(value))
    rule = _RULES.get(details["type"])
    bounds = {name: _plain(bound) for name, bound in details.get("ctx", {}).items()}
    return Problem(key, value, rule.format(**bounds) if rule else details["msg"], _as_fraction(details))


def _as_fraction(details: Mapping[str, Any]) -> str | None:
    """What a percentage is where nothing is above 1: 90 is 0.9."""
    ctx = details.get("ctx", {})
    if ctx.get("le", ctx.get("lt")) != 1 or isinstance(details["input"], bool):
        return None
    nearest = nearest_in_range(details["input"], 0, 1, whole=False)
    return None if nearest in ("0", "1") else nearest


def _in_milliseconds(text: str) -> str | None:
    try:
        return f"{read_milliseconds(text):g}"
    except UnitError:
        return None


def _plain(bound: Any) -> Any:
    return int(bound) if isinstance(bound, float) and bound.is_integer() else bound


def _unknown_key(kind: type[BaseModel], place: Sequence[Any], key: str, value: Any) -> Problem:
    known = sorted(set(_keys_at(kind, place[:-1])))
    if place[-1] in known:
        return Problem(key, value, "does not go with the other keys beside it", shows_value=False)
    return Problem(key, value, "unknown key", nearest_name(place[-1], known), shows_value=False)


def _wrong_form(kind: type[BaseModel], place: Sequence[Any], key: str, value: Any, rule: str) -> Problem:
    """A map of which no key told the form: most likely one is misspelt."""
    if isinstance(value, dict) and "kind" in value:
        return Problem(f"{key}.kind", value["kind"], rule, nearest_name(value["kind"], _KINDS))
    if isinstance(value, dict):
        known = sorted(set(_keys_at(kind, place)))
        for name in value:
            nearest = nearest_name(name, known)
            if name not in known and nearest is not None:
                return Problem(f"{key}.{name}", value[name], "unknown key", nearest, shows_value=False)
    return Problem(key, value, rule)


def _wrong_choice(key: str, value: Any, expected: str) -> Problem:
    choices = expected.replace(" or ", ", ").replace("'", "").split(", ")
    return Problem(
        key, value, f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0], nearest_name(value, choices)
    )


def _keys_at(kind: object, place: Sequence[Any]) -> Iterator[str]:
    """The keys that a map at this place may have, of all forms of a union."""
    for section in _sections(kind):
        if not place:
            yield from section.model_fields
        elif place[0] in section.model_fields:
            rest = [part for part in place[1:] if not isinstance(part, int)]
            yield from _keys_at(section.model_fields[place[0]].annotation, rest)


def _sections(annotation: object) -> Iterator[type[BaseModel]]:
    """The sections in an annotation such as ``list[A | B] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from _sections(argument)
