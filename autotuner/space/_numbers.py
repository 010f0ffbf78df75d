"""Arithmetic that the scalar and the vectorised evaluation share, so that both agree to the last bit."""

from __future__ import annotations

import math


class UndefinedError(Exception):
    """An expression has no value here: null or text where a number is needed, division by zero, overflow."""


def number(value: object) -> float:
    """``value`` as the double that expressions reckon with; true is 1."""
    if not isinstance(value, bool | int | float):
        raise UndefinedError
    try:
        return float(value)
    except OverflowError:
        raise UndefinedError from None


def power(base: float, exponent: float) -> float:
    try:
        result = base**exponent
    except (ZeroDivisionError, OverflowError):
        raise UndefinedError from None
    if isinstance(result, complex):
        raise UndefinedError
    return float(result)


def log2(value: float) -> float:
    if value <= 0:
        raise UndefinedError
    return math.log2(value)
