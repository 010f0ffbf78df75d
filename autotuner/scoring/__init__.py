"""Scores: SLO penalties, objectives, the best, the Pareto front. Pure functions."""

from autotuner.metrics.direction import Direction
from autotuner.scoring.max_load import Holds, fewest_requests, holds, lost_at, with_max_load
from autotuner.scoring.merit import Grade, Merit, Select, told_value
from autotuner.scoring.objective import OBJECTIVES, Aggregate, Objective, parse_objective, parse_objectives
from autotuner.scoring.pareto import pareto_front
from autotuner.scoring.score import PointScore, Score, Tier, Violation
from autotuner.scoring.scorer import score_point, score_rung
from autotuner.scoring.select import Choice, choices, select_best, select_closest
from autotuner.scoring.slo import SloVerdict, judge_slo
from autotuner.scoring.values import better, infeasible_score, penalised

__all__ = [
    "OBJECTIVES",
    "Aggregate",
    "Choice",
    "Direction",
    "Grade",
    "Holds",
    "Merit",
    "Objective",
    "PointScore",
    "Score",
    "Select",
    "SloVerdict",
    "Tier",
    "Violation",
    "better",
    "choices",
    "fewest_requests",
    "holds",
    "infeasible_score",
    "judge_slo",
    "lost_at",
    "pareto_front",
    "parse_objective",
    "parse_objectives",
    "penalised",
    "score_point",
    "score_rung",
    "select_best",
    "select_closest",
    "told_value",
    "with_max_load",
]
