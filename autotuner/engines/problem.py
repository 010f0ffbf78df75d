"""Problem: one thing that is wrong with a flag or value of a study."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """``key`` is the path in the study file; ``fatal`` ones make the study invalid, others are told as warnings."""

    key: str
    value: object
    rule: str
    nearest: str | None = None
    fatal: bool = True
