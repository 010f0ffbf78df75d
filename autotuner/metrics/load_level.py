"""LoadLevel: how hard one load point presses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LoadKind(StrEnum):
    CONCURRENCY = "concurrency"  # closed loop: requests in flight
    RATE = "rate"  # open loop: requests per second
    SPEED = "speed"  # open loop: a trace's own timestamps, so many times faster


@dataclass(frozen=True, order=True)
class LoadLevel:
    """One load level: ``concurrency 32``, ``rate 4.0`` requests/s, or ``speed 2.0`` of a trace."""

    kind: LoadKind
    value: float

    def __str__(self) -> str:
        return f"{self.kind} {self.value:g}"
