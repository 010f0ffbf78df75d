"""Direction: which way is better."""

from __future__ import annotations

from enum import StrEnum


class Direction(StrEnum):
    MIN = "min"
    MAX = "max"
