"""What a searcher is told of each load level of a rung. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autotuner.metrics.load_level import LoadLevel
from autotuner.scoring import Aggregate, Objective, PointScore, Score, Select
from autotuner.scoring.merit import make_merit
from autotuner.tuning.proposers.shown import Shown


def shown_levels(score: Score, objective: Objective, select: Select, *, in_full: bool = False) -> tuple[Shown, ...]:
    """Of each level that was measured; of an objective that takes the mean of all, of these together.

    ``in_full``: with all requests, so that a level (but not the mean of those so far) shows what it would at the end.

    ``select: score`` asks for penalised values and lets every SLO be violated: they are told so, and without margins.
    """
    points = [point for point in score.points if point.objective == objective.name]
    if objective.aggregate is Aggregate.BEST:
        found = (_shown([p], objective, select, level=p.level, feasible=p.feasible) for p in points)
        return tuple(replace(shown, in_full=in_full) for shown in found)
    return (_shown(points, objective, select, level=None, feasible=score.feasible),) if points else ()


def _shown(
    points: Sequence[PointScore], objective: Objective, select: Select, *, level: LoadLevel | None, feasible: bool
) -> Shown:
    """Of several points the widest margin of each term. What margins explain is not taken for broken as well."""
    values = [(point.value, point.excess if select == "score" else 0.0) for point in points]
    known = all(value is not None for value, _ in values)
    value = make_merit(values, objective.direction, "score", feasible=True).good if known else None
    margins: dict[str, float] = {}
    for term, margin in (item for point in points for item in point.margins.items() if select != "score"):
        margins[term] = max(margin, margins.get(term, margin))
    return Shown(level, value, margins, feasible or any(margin > 0 for margin in margins.values()))
