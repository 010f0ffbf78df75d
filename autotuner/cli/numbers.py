"""Numbers on the command line: what each option takes, and how another value is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from autotuner.errors import InputError

_N = TypeVar("_N", int, float)
_MOST_LOAD = 1_000_000  # as in a study: requests in flight, or a second
_MOST = 10**9
_WHOLE = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")


def whole(option: str, least: int = 1, most: int = _MOST, key: str = "") -> Callable[[str], int]:
    """An argparse type: a whole number of this range. It raises InputError; ``key``: of the study, where it is one."""
    upto = "" if most == _MOST else f" to {most}"

    def read(text: str) -> int:
        text = text.strip()
        if _WHOLE.fullmatch(text) is None or not least <= int(text) <= most:
            raise _error(option, text, f"a whole number from {least}{upto}", _nearest(text, least, most), key)
        return int(text)

    return read


def above_zero(option: str, least: float = 0.0, most: float = float(_MOST)) -> Callable[[str], float]:
    """An argparse type: a finite number above 0, and of this range. It raises InputError."""
    rule = "a finite number above 0" if (least, most) == (0, _MOST) else f"a number from {least:g} to {most:g}"

    def read(text: str) -> float:
        text = text.strip()
        value = float(text) if _NUMBER.fullmatch(text) else 0.0
        if value <= 0 or not least <= value <= most:
            raise _error(option, text, rule)
        return value

    return read


def zero_or_more(option: str) -> Callable[[str], float]:
    """An argparse type: a finite number, 0 among them. It raises InputError."""

    def read(text: str) -> float:
        text = text.strip()
        if _NUMBER.fullmatch(text) is None or not 0 <= float(text) <= _MOST:
            raise _error(option, text, "a finite number from 0")
        return float(text)

    return read


def several_whole(option: str) -> Callable[[str], list[int]]:
    """Load levels."""
    rule = f"whole numbers from 1 to {_MOST_LOAD} with commas between them, as 1,8,32"
    return _several(option, rule, whole(option, most=_MOST_LOAD))


def several_above_zero(option: str) -> Callable[[str], list[float]]:
    """Load levels."""
    rule = f"finite numbers above 0, to {_MOST_LOAD}, with commas between them, as 0.5,1,2"
    return _several(option, rule, above_zero(option, most=_MOST_LOAD))


def _several(option: str, rule: str, one: Callable[[str], _N]) -> Callable[[str], list[_N]]:
    def read(text: str) -> list[_N]:
        try:
            return [one(part) for part in text.split(",")]
        except InputError:
            raise _error(option, text, rule) from None

    return read


def _nearest(text: str, least: int, most: int) -> str | None:
    """The whole number that 8.0 or 1e3 is."""
    value = float(text) if _NUMBER.fullmatch(text) else 0.5
    return str(int(value)) if least <= value <= most and value.is_integer() else None


def _error(option: str, text: str, rule: str, nearest: str | None = None, key: str = "") -> InputError:
    hint = f"; did you mean {nearest}?" if nearest is not None else ""
    key = key or option.lstrip("-")
    return InputError(f"{option} {text}: {rule}{hint}", key=key, value=text, rule=rule, nearest=nearest)
