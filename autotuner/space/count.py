"""Count: how many Configs a space has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Count:
    """``number`` is ``None`` where a range without a step makes the Configs endless, else exact or estimated.

    ``raw`` is the number of points before conditions and constraints, ``kept_fraction`` the share of them
    that meets the constraints.
    """

    number: int | None
    exact: bool
    raw: int | None
    kept_fraction: float
