"""From measurements to scores: of a load point, and of a rung."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autotuner.metrics.load_level import LoadLevel
from autotuner.metrics.measurement import Measurement
from autotuner.scoring.max_load import FOUND, NOT_HELD
from autotuner.scoring.merit import Merit, Select, make_merit
from autotuner.scoring.objective import Aggregate, Objective
from autotuner.scoring.score import PointScore, Score
from autotuner.scoring.slo import judge_slo
from autotuner.scoring.unusable import unusable
from autotuner.scoring.values import infeasible_score, penalised
from autotuner.study.model import Slo


def score_point(measurement: Measurement, slo: Slo, objective: Objective) -> PointScore:
    """One objective at one load point.

    Infeasible: too many errors, answers without tokens or clearly shorter than they were forced to be, an SLO term
    that fails hard or that nothing was measured for, a point that was given up as hopeless (what ended before says
    nothing about what was still waiting), or no value at all.
    """
    verdict = judge_slo(measurement, slo)
    value = _finite(measurement.metrics.get(objective.column))
    reasons = [*unusable(measurement, slo), *verdict.hard_reasons]
    reasons += [f"{column} has no value, so that its SLO can't be said to hold" for column in verdict.unmeasured]
    if value is None:
        reasons.append(NOT_HELD if objective.column in FOUND else f"{objective.column} could not be had")
    feasible = not reasons
    score = (
        penalised(value, verdict.penalty, objective.direction)
        if feasible and value is not None
        else infeasible_score(objective.direction)
    )
    return PointScore(
        level=measurement.level,
        objective=objective.name,
        value=value,
        score=score,
        feasible=feasible,
        slo_met=feasible and not verdict.violations,
        penalty=verdict.penalty,
        violations=verdict.violations,
        reason="; ".join(reasons),
        excess=verdict.excess,
        margins=verdict.margins,
        interval=None if value is None else measurement.intervals.get(objective.column),
        unsure=verdict.unsure,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def score_rung(
    measurements: Sequence[Measurement],
    failed_levels: Sequence[LoadLevel | str],
    slo: Slo,
    objectives: Sequence[Objective],
    select: Select = "slo_met",
) -> Score:
    """The score of a rung: the first objective's, with all of them by name.

    ``failed_levels`` are the declared load points that have no measurement. Throughput, goodput and cost take
    the best feasible load point and leave the failed ones aside. A latency objective needs every declared level:
    were a failed one left out of the mean, failing at the hardest level would look like an improvement.
    """
    points = {o.name: tuple(score_point(m, slo, o) for m in measurements) for o in objectives}
    scores = {o.name: aggregate(points[o.name], failed_levels, o) for o in objectives}
    first = scores[objectives[0].name]
    return Score(
        score=first.score,
        feasible=first.feasible,
        slo_met=first.slo_met,
        level=first.level,
        value=first.value,
        objectives={name: score.score for name, score in scores.items()},
        violations=first.violations,
        reason=first.reason,
        points=tuple(point for o in objectives for point in points[o.name]),
        merits={o.name: rung_merit(points[o.name], o, select, feasible=scores[o.name].feasible) for o in objectives},
    )


def rung_merit(points: Sequence[PointScore], objective: Objective, select: Select, *, feasible: bool) -> Merit:
    """What a rung is worth: the load point that would be chosen of it, or all of them together."""
    if objective.aggregate is Aggregate.BEST:
        return max((point_merit(p, objective, select) for p in points), default=Merit())
    return make_merit([(p.value, p.excess) for p in points], objective.direction, select, feasible=feasible)


def point_merit(point: PointScore, objective: Objective, select: Select) -> Merit:
    """What one load point is worth."""
    return make_merit([(point.value, point.excess)], objective.direction, select, feasible=point.feasible)


def aggregate(points: Sequence[PointScore], failed: Sequence[LoadLevel | str], objective: Objective) -> Score:
    """One objective over the load points of a rung; ``failed``: those that have no measurement."""
    if objective.aggregate is Aggregate.MEAN:
        return _mean(points, failed, objective)
    feasible = [p for p in points if p.feasible]
    if not feasible:
        return _infeasible(points, failed, objective)
    # By the formula without its caps, so that scores next to 0 are told apart as well.
    best = max(feasible, key=lambda p: (point_merit(p, objective, "score"), p.slo_met))
    return Score(best.score, True, best.slo_met, best.level, best.value, {objective.name: best.score}, best.violations)


def _mean(points: Sequence[PointScore], failed: Sequence[LoadLevel | str], objective: Objective) -> Score:
    values = [p.value for p in points if p.feasible and p.value is not None]
    if failed or not points or len(values) < len(points):
        return _infeasible(points, failed, objective)
    score = math.fsum(p.score / len(points) for p in points)
    return Score(
        score=score,
        feasible=True,
        slo_met=all(p.slo_met for p in points),
        level=None,
        value=math.fsum(v / len(values) for v in values),
        objectives={objective.name: score},
        violations=tuple(v for p in points for v in p.violations),
    )


def _infeasible(points: Sequence[PointScore], failed: Sequence[LoadLevel | str], objective: Objective) -> Score:
    """Says of each level why; the violations are those of the level that is the least over."""
    nearest = min(points, key=lambda p: p.excess, default=None)
    reasons = [f"{p.level}: {p.reason}" for p in points if p.reason] + [f"{level}: failed" for level in failed]
    score = infeasible_score(objective.direction)
    return Score(
        score=score,
        feasible=False,
        slo_met=False,
        level=None,
        value=None,
        objectives={objective.name: score},
        violations=nearest.violations if nearest else (),
        reason="; ".join(reasons) or "nothing was measured",
    )
