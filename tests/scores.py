"""Scores as tests want them: of one load point, with a value and an excess over the SLOs."""

from __future__ import annotations

import dataclasses

from autotuner.metrics import LoadKind, LoadLevel
from autotuner.scoring import Aggregate, PointScore, Score, infeasible_score, parse_objective
from autotuner.scoring.merit import make_merit

LEVEL = LoadLevel(LoadKind.CONCURRENCY, 8)


def made_score(
    value: float | None,
    objective: str = "ttft_p90",
    *,
    feasible: bool = True,
    slo_met: bool = True,
    excess: float = 1.0,
    reason: str = "too many errors",
) -> Score:
    """Over the SLOs by ``excess`` unless they are met; its score is the value."""
    wanted = parse_objective(objective)
    number = value if value is not None and feasible else infeasible_score(wanted.direction)
    meets = feasible and slo_met
    point = PointScore(LEVEL, objective, value, number, feasible, meets, excess=0.0 if meets else excess)
    merit = make_merit([(value, point.excess)], wanted.direction, "slo_met", feasible=feasible)
    return Score(
        score=number,
        feasible=feasible,
        slo_met=meets,
        level=LEVEL if wanted.aggregate is Aggregate.BEST and feasible else None,
        value=value if feasible else None,
        objectives={objective: number},
        reason="" if feasible else reason,
        points=(point,),
        merits={objective: merit},
    )


def joined(*scores: Score) -> Score:
    """The scores of several objectives as one; the first one counts."""
    first = scores[0]
    return dataclasses.replace(
        first,
        objectives={name: value for score in scores for name, value in score.objectives.items()},
        points=tuple(point for score in scores for point in score.points),
        merits={name: merit for score in scores for name, merit in score.merits.items()},
    )
