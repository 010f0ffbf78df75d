"""A score as it would be, had the machine not become faster or slower meanwhile. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from autotuner.metrics.direction import Direction
from autotuner.scoring.merit import Grade, Select
from autotuner.scoring.objective import Objective
from autotuner.scoring.score import PointScore, Score
from autotuner.scoring.scorer import aggregate, rung_merit


def without_shift(
    score: Score, offsets: Sequence[float], objectives: Sequence[Objective], select: Select = "slo_met"
) -> Score:
    """``offsets``: by how much the logarithm of each objective, turned so that more is better, is too large; none
    changes nothing.

    Values, their intervals and what is made of them are divided by that; SLOs are judged as they were measured, since
    a shift of the objective tells nothing of a latency at another load. What is infeasible stays so.
    """
    if not any(offsets):
        return score
    scores, merits = dict(score.objectives), dict(score.merits)
    points: list[PointScore] = []
    value, level = score.value, score.level
    for objective, offset in zip(objectives, offsets, strict=True):
        own = tuple(_point(p, offset, objective) for p in score.points if p.objective == objective.name)
        points += own
        if score.merit(objective.name).grade < Grade.VIOLATING:
            continue
        found = aggregate(own, (), objective)
        scores[objective.name] = found.score
        merits[objective.name] = rung_merit(own, objective, select, feasible=True)
        if objective is objectives[0]:
            value, level = found.value, found.level
    first = scores[objectives[0].name]
    return replace(score, score=first, value=value, level=level, objectives=scores, merits=merits, points=tuple(points))


def _point(point: PointScore, offset: float, objective: Objective) -> PointScore:
    factor = math.exp(-offset if objective.direction is Direction.MAX else offset)
    return replace(
        point,
        value=None if point.value is None else point.value * factor,
        score=point.score * factor if point.feasible else point.score,
        interval=None if point.interval is None else (point.interval[0] * factor, point.interval[1] * factor),
    )
