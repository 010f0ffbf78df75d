"""Score: the SLO-penalised objective of a load point and of a rung."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from autotuner.metrics.load_level import LoadLevel


class Tier(StrEnum):
    """How badly an SLO is violated."""

    MINOR = "MINOR"  # up to 20 % over
    SEVERE = "SEVERE"
    HARD = "HARD"  # makes the load point infeasible


@dataclass(frozen=True)
class Violation:
    """One SLO term that does not hold. ``ratio`` is (value − threshold) / threshold."""

    metric: str  # a column name, as ttft_p90_ms
    value: float
    threshold: float
    ratio: float
    penalty: float
    tier: Tier


@dataclass(frozen=True)
class PointScore:
    """One objective at one load point. ``score`` is finite, whatever happened."""

    level: LoadLevel
    objective: str
    value: float | None
    score: float
    feasible: bool
    slo_met: bool
    penalty: float = 0.0
    violations: tuple[Violation, ...] = ()
    reason: str = ""  # why it is infeasible


@dataclass(frozen=True)
class Score:
    """The score of a rung: its first objective, and all of them by name.

    ``level`` is the load point that the score was taken from (``None`` when levels were averaged or
    nothing is feasible). ``objectives`` maps every objective of the study to its finite score.
    """

    score: float
    feasible: bool
    slo_met: bool
    level: LoadLevel | None
    value: float | None
    objectives: Mapping[str, float]
    violations: tuple[Violation, ...] = ()
    reason: str = ""
    points: tuple[PointScore, ...] = field(default=(), repr=False)
