"""Score: the SLO-penalised objective of a load point and of a rung."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from autotuner.metrics.load_level import LoadLevel
from autotuner.scoring.merit import Merit


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
    """One objective at one load point. ``score`` is finite, whatever happened.

    ``excess`` tells how far it is over its SLOs where ``penalty`` has come to its cap: log(1 + P) of the uncapped P.
    ``margins``: of each SLO term that has a value, by its column, log(value / threshold): above 0 it is violated.
    ``interval`` is the value's 95 % interval, as far as one launch can tell; ``None`` where it can't be had. ``unsure``
    are the columns of SLO terms that may hold or not: the 95 % interval of the percentile holds the threshold.
    """

    level: LoadLevel
    objective: str
    value: float | None
    score: float
    feasible: bool
    slo_met: bool
    penalty: float = 0.0
    violations: tuple[Violation, ...] = ()
    reason: str = ""  # why it is infeasible
    excess: float = 0.0
    margins: Mapping[str, float] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    unsure: tuple[str, ...] = ()

    @property
    def violates_for_sure(self) -> bool:
        """Whether more load would be in vain: it is infeasible, or over an SLO beyond what chance might have done."""
        return not self.feasible or any(violation.metric not in self.unsure for violation in self.violations)


@dataclass(frozen=True)
class Score:
    """The score of a rung: its first objective, and all of them by name.

    ``level`` is the load point that the score was taken from (``None`` when levels were averaged or
    nothing is feasible). ``objectives`` maps every objective of the study to its finite score, ``merits`` to what the
    rung is worth in it: that of the load point that would be chosen of it, which may be one of a lower score that
    meets the SLOs.
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
    merits: Mapping[str, Merit] = field(default_factory=dict, repr=False)

    def merit(self, objective: str | None = None) -> Merit:
        """What the rung is worth in an objective, by default the first one."""
        name = next(iter(self.objectives), "") if objective is None else objective
        return self.merits.get(name, Merit())
