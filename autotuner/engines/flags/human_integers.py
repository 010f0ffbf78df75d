"""Whole numbers as people write them, ``8k``, in the ways that servers read them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

_DECIMAL = {letter: 10**power for letter, power in zip("kmgt", (3, 6, 9, 12), strict=True)}
_BINARY = {letter: 2**power for letter, power in zip("kmgt", (10, 20, 30, 40), strict=True)}


class Suffixes(StrEnum):
    """Which letters a server takes behind a number, and what each stands for."""

    SMALL_AND_CAPITAL = "k-K"  # human_readable_int of vllm/utils/argparse_utils.py: 8k is 8000, 8K is 8192
    SI_AND_IEC = "k-Ki"  # human_readable_int of sglang/srt/utils/common.py: 8k is 8000, 8Ki is 8192

    @property
    def examples(self) -> str:
        """How such numbers are written, for people."""
        return f"8k (8000) or 8{self.value.partition('-')[2]} (8192)"


_FACTORS: Mapping[Suffixes, Mapping[str, int]] = {
    Suffixes.SMALL_AND_CAPITAL: {**_DECIMAL, **{letter.upper(): factor for letter, factor in _BINARY.items()}},
    Suffixes.SI_AND_IEC: {
        **{letter if letter == "k" else letter.upper(): factor for letter, factor in _DECIMAL.items()},
        **{f"{letter.upper()}i": factor for letter, factor in _BINARY.items()},
    },
}
_QUOTED = re.compile(r'("(?:[^"\\]|\\.)*")')
_IN_JSON = re.compile(r"\b\d+(?:\.\d+)?[A-Za-z]+\b")
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z]*)")


def read_integer(text: str, suffixes: Suffixes) -> int | None:
    """The number that the server makes of ``text``; ``None`` for what it refuses: a part of 1024 is none."""
    text = text.strip()
    found = _NUMBER.fullmatch(text)
    factor = _FACTORS[suffixes].get(found[2]) if found is not None else None
    if found is None or factor is None:
        return int(text) if re.fullmatch(r"[+-]?\d+", text) else None
    if "." not in found[1]:
        return int(found[1]) * factor
    return int(float(found[1]) * factor) if factor in _DECIMAL.values() else None


def with_plain_numbers(text: str, suffixes: Suffixes) -> str:
    """JSON whose numbers may have letters (``{"cpu_bytes_to_use": 80m}``) as JSON; what stands in quotes stays.

    As _expand_json_human_readable_numbers of vllm/engine/arg_utils.py.
    """

    def plain(found: re.Match[str]) -> str:
        number = read_integer(found[0], suffixes)
        return found[0] if number is None else str(number)

    parts = _QUOTED.split(text)
    parts[::2] = [_IN_JSON.sub(plain, part) for part in parts[::2]]
    return "".join(parts)


def meant_integer(text: str, suffixes: Suffixes) -> str | None:
    """How a number with a part of 1024 (``1.5M``), or another server's letters, is written for this one."""
    found = _NUMBER.fullmatch(text.strip())
    if found is None or not found[2] or found[2][0].lower() not in _DECIMAL:
        return None
    factors = _FACTORS[suffixes]
    wanted = (_BINARY if found[2][1:] == "i" and "." not in found[1] else _DECIMAL)[found[2][0].lower()]
    return found[1] + next(letters for letters, factor in factors.items() if factor == wanted)
