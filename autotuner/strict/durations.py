"""Durations and shares with their units, as people write them: 300ms, 0.5s, 1%."""

from __future__ import annotations

import re

from autotuner.strict.problem import nearest_name

_UNITS_MS = {"us": 0.001, "µs": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0, "min": 60_000.0}
_DURATION = re.compile(r"(?P<number>[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?)\s*(?P<unit>[A-Za-zµ]*)")
_RULE = "a duration above 0 with its unit, as 300ms, 0.5s or 2s"


class UnitError(ValueError):
    """What is wrong with a text: ``rule`` must hold, ``nearest`` would."""

    def __init__(self, rule: str, nearest: str | None = None) -> None:
        super().__init__(rule)
        self.rule, self.nearest = rule, nearest


def read_milliseconds(text: str) -> float:
    """Raises UnitError for what is no duration (us, ms, s, m), or has no unit."""
    found = _DURATION.fullmatch(text.strip().replace("μ", "µ"))  # Greek mu, and the sign
    if found is None or not found["unit"]:
        raise UnitError(_RULE, f"{text}ms" if found is not None else None)
    unit = found["unit"] if found["unit"] in _UNITS_MS else found["unit"].lower()
    if unit not in _UNITS_MS:
        near = nearest_name(unit, _UNITS_MS)
        raise UnitError(_RULE, f"{found['number']}{near}" if near else None)
    value = float(found["number"]) * _UNITS_MS[unit]
    if not 0 < value < float("inf"):
        raise UnitError(_RULE)
    return round(value, 6)


def read_share(text: str) -> float:
    """0.01 or 1%. Raises UnitError."""
    try:
        share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise UnitError("a share from 0 to 1, or a percentage, as 0.01 or 1%")
    return share
