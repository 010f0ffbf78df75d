"""The best trial of a study, and the one that came closest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from autotuner.metrics.direction import Direction
from autotuner.metrics.load_level import LoadLevel
from autotuner.scoring.objective import Aggregate, Objective
from autotuner.scoring.score import Score, Violation


@dataclass(frozen=True)
class Choice:
    """A trial, and the load point of it that counts (``None``: all levels together)."""

    trial_id: str
    level: LoadLevel | None
    value: float | None
    score: float
    feasible: bool
    slo_met: bool
    penalty: float = 0.0
    violations: tuple[Violation, ...] = ()
    reason: str = ""


def select_best(
    scores: Mapping[str, Score], objective: Objective, select: Literal["slo_met", "score"] = "slo_met"
) -> Choice | None:
    """The best score among those that meet every SLO, if any does, else among the feasible; ``None`` without any.

    ``scores`` are those of the last rungs of completed trials, ``objective`` is the study's first. Where one load
    point makes the score, each point of a trial is weighed: a trial whose best score breaks an SLO at
    concurrency 32 may still have the best score of all that meet them at 8. ``select="score"`` ignores the SLOs.
    Of equal scores the first wins.
    """
    candidates = [c for trial_id, score in scores.items() for c in choices(trial_id, score, objective) if c.feasible]
    if select == "slo_met":
        candidates = [c for c in candidates if c.slo_met] or candidates
    sign = 1 if objective.direction is Direction.MIN else -1
    return min(candidates, key=lambda c: sign * c.score, default=None)


def select_closest(scores: Mapping[str, Score], objective: Objective) -> Choice | None:
    """What came closest to the SLOs: feasible before infeasible, then the least penalty, then the best score."""
    candidates = [c for trial_id, score in scores.items() for c in choices(trial_id, score, objective)]
    sign = 1 if objective.direction is Direction.MIN else -1
    return min(candidates, key=lambda c: (not c.feasible, c.penalty, sign * c.score), default=None)


def choices(trial_id: str, score: Score, objective: Objective) -> Iterator[Choice]:
    """What can be chosen of a trial: its load points, or, where levels are averaged, the whole of it."""
    points = [p for p in score.points if p.objective == objective.name]
    if objective.aggregate is Aggregate.BEST:
        for p in points:
            yield Choice(trial_id, p.level, p.value, p.score, p.feasible, p.slo_met, p.penalty, p.violations, p.reason)
    else:
        penalty = sum(p.penalty for p in points)
        yield Choice(
            trial_id,
            None,
            score.value,
            score.score,
            score.feasible,
            score.slo_met,
            penalty,
            score.violations,
            score.reason,
        )
