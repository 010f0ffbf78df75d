"""What the sections of a study file are built of: strict frozen maps, and values of several forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

Scalar = bool | int | float | str | None


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def by_key(forms: Mapping[str, str]) -> Callable[[Any], str | None]:
    """Picks the form of a union by the first of these keys that is there, so that only its errors are told.

    Every tag starts with ``|``, so that it can be told from a key in the place of an error.
    """

    def pick(value: Any) -> str | None:
        keys = value if isinstance(value, dict) else getattr(type(value), "model_fields", {})
        return next((tag for key, tag in forms.items() if key in keys), None)

    return pick


def text_or_map(value: Any) -> str | None:
    if isinstance(value, str):
        return "|text"
    return "|map" if isinstance(value, dict | BaseModel) else None


def text_or_list(value: Any) -> str | None:
    if isinstance(value, str):
        return "|text"
    return "|list" if isinstance(value, list) else None


def form(pick: Callable[[Any], str | None], rule: str) -> Discriminator:
    return Discriminator(pick, custom_error_type="form", custom_error_message=rule)


def one_or_list(kind: type) -> Discriminator:
    def pick(value: Any) -> str | None:
        if isinstance(value, list):
            return "|list"
        return "|one" if isinstance(value, kind) and not isinstance(value, bool) else None

    what = "a whole number" if kind is int else "a text"
    return form(pick, f"{what}, or a list of such")


Degree = Annotated[int, Field(ge=1)]
Degrees = Annotated[
    Annotated[Degree, Tag("|one")] | Annotated[list[Degree], Field(min_length=1), Tag("|list")],
    one_or_list(int),
]
Names = Annotated[
    Annotated[str, Field(min_length=1), Tag("|one")] | Annotated[list[str], Field(min_length=1), Tag("|list")],
    one_or_list(str),
]


def as_tuple(given: Any) -> tuple[Any, ...]:
    """What stands for one value or a list of them: none for ``None``."""
    if given is None:
        return ()
    return tuple(given) if isinstance(given, list) else (given,)
