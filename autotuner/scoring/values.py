"""Scores as numbers: finite and comparable."""

from __future__ import annotations

from autotuner.metrics.direction import Direction

EXPONENT_CAP = 50.0  # exp(50) = 5e21: v / steepness is cut there
PENALTY_CAP = 1e25
FEASIBLE_CAP = 1e29  # no feasible score is larger
_INFEASIBLE_MIN = 1e30
_INFEASIBLE_MAX = -1.0  # maximised scores are never negative


def penalised(value: float, penalty: float, direction: Direction) -> float:
    """value × (1 + P) where less is better, value / (1 + P) where more is; between 0 and ``FEASIBLE_CAP``."""
    penalty = min(penalty, PENALTY_CAP)
    score = value * (1 + penalty) if direction is Direction.MIN else value / (1 + penalty)
    return min(max(score, 0.0), FEASIBLE_CAP)


def infeasible_score(direction: Direction) -> float:
    """Finite, and worse than the score of any feasible Config."""
    return _INFEASIBLE_MIN if direction is Direction.MIN else _INFEASIBLE_MAX


def better(a: float, b: float, direction: Direction) -> bool:
    """Whether score ``a`` is strictly better than ``b``."""
    return a < b if direction is Direction.MIN else a > b
