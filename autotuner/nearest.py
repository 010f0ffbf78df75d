"""The valid choice that a wrong one is nearest to: a word by its meaning, then its spelling; a number by its size."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

# Words that mean the same to people, of which a server knows one or the other. The first of a group that is known is
# meant, so that what says most stands first.
_SAME: tuple[tuple[str, ...], ...] = (
    ("float16", "half", "f16", "fp16"),
    ("bfloat16", "bf16", "bfp16"),
    ("float32", "float", "f32", "fp32", "single"),
    ("fp8", "float8", "f8", "fp8_e4m3"),
    ("fp8_e4m3", "e4m3", "float8_e4m3", "float8_e4m3fn", "fp8_e4m3fn"),
    ("fp8_e5m2", "e5m2", "float8_e5m2"),
    ("int8", "i8", "q8_0", "q8", "w8a8"),
    ("int4", "i4", "w4a16", "q4_0", "q4"),
    ("nvfp4", "fp4", "float4", "mxfp4"),
    ("on", "true", "yes", "enabled", "enable"),
    ("off", "false", "no", "disabled", "disable", "none"),
    ("mode", "level"),  # of compilation, in vLLM
    ("round_robin", "rr"),
)
_NUMBER = re.compile(r"([+-]?\d[\d_,]*(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*(%?)")


def nearest_word(word: object, known: Iterable[str], cutoff: float = 0.5) -> str | None:
    """The known word that ``word`` means, or may be a misspelling of; case, dashes and underscores don't matter.

    ``cutoff`` is how alike spellings must be, up to 1. Among numbers the nearest one is meant.
    """
    names = list(known)
    number = read_number(word)
    numbers = {value: name for name in names if (value := read_number(name)) is not None}
    if number is not None and numbers:
        return numbers[nearest_of(number, list(numbers))]
    plain = {plain_word(name): name for name in reversed(names)}
    wanted = plain_word(str(word))
    for one in (wanted, *(same for group in _SAME if wanted in group for same in group)):
        if one in plain:
            return plain[one]
    found = difflib.get_close_matches(wanted, list(plain)[::-1], n=1, cutoff=cutoff)
    return plain[found[0]] if found else None


def nearest_value(value: object, known: Sequence[Any]) -> Any:
    """The known value that is nearest, a word or a number: the first where nothing tells, ``None`` of none."""
    words = {str(one): one for one in known}
    nearest = nearest_word(str(value), words)
    return words[nearest] if nearest is not None else next(iter(known), None)


def nearest_of(number: float, known: Sequence[float]) -> float:
    """The known number that is nearest in size: 24 is nearer to 32 than to 16, as it is a smaller part of it away."""

    def distance(other: float) -> tuple[float, float]:
        if number > 0 and other > 0:
            return abs(math.log(number / other)), abs(number - other)
        return math.inf, abs(number - other)

    return min(known, key=distance)


def nearest_in_range(value: object, low: float | None, high: float | None, *, whole: bool) -> str | None:
    """The number from ``low`` to ``high`` that ``value`` stands for: 90 is 0.9 where nothing is above 1, but 1.2 is 1.

    Texts stand for the number that they spell, ``8,192`` for 8192; ``None`` for what is no number.
    """
    number = read_number(value)
    if number is None or not math.isfinite(number):
        return None
    least, most = -math.inf if low is None else low, math.inf if high is None else high
    if not whole and most == 1 and _may_be_percent(number) and number / 100 >= least:
        number /= 100
    number = min(max(number, least), most)
    if whole:
        number = min(max(math.floor(number + 0.5), math.ceil(least) if low is not None else number), most)
    return f"{number:.0f}" if float(number).is_integer() else f"{number:.12g}"


def _may_be_percent(number: float) -> bool:
    return 1 < number <= 100 and (number.is_integer() or number >= 10)


def read_number(value: object) -> float | None:
    """The number that a value is, or that a text spells, also with separators or as a percentage."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    found = _NUMBER.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    number = float(re.sub("[_,]", "", found[1])) / (100 if found[2] else 1)
    return number if math.isfinite(number) else None


def plain_word(word: str) -> str:
    """A word without what does not tell it apart: case, dashes in front, ``-`` for ``_``."""
    return word.lower().lstrip("-").replace("-", "_")
