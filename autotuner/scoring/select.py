"""The best trial of a study, and the one that came closest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from autotuner.metrics.load_level import LoadLevel
from autotuner.scoring.merit import Merit, Select, make_merit
from autotuner.scoring.objective import Aggregate, Objective
from autotuner.scoring.score import Score, Violation
from autotuner.scoring.scorer import point_merit


@dataclass(frozen=True)
class Choice:
    """A trial, and the load point of it that counts (``None``: all levels together). ``unsure``: columns of SLO terms
    that may hold or not."""

    trial_id: str
    level: LoadLevel | None
    value: float | None
    score: float
    feasible: bool
    slo_met: bool
    violations: tuple[Violation, ...] = ()
    reason: str = ""
    merit: Merit = field(default_factory=Merit)
    unsure: tuple[str, ...] = ()


def select_best(scores: Mapping[str, Score], objective: Objective, select: Select = "slo_met") -> Choice | None:
    """The feasible choice of greatest merit; ``None`` without any.

    ``scores`` are those of the last rungs of completed trials, ``objective`` is the study's first. That is the best
    score among those that meet every SLO, or, where none does, what is the least over them; ``select="score"`` ignores
    that. Where one load point makes the score, each point of a trial is weighed. Of equals the first wins.
    """
    found = select_closest(scores, objective, select)
    return found if found is not None and found.feasible else None


def select_closest(scores: Mapping[str, Score], objective: Objective, select: Select = "slo_met") -> Choice | None:
    """As ``select_best``; where nothing is feasible, what is the least over the SLOs."""
    candidates = [c for trial_id, score in scores.items() for c in choices(trial_id, score, objective, select)]
    return max(candidates, key=lambda c: c.merit, default=None)


def choices(trial_id: str, score: Score, objective: Objective, select: Select = "slo_met") -> Iterator[Choice]:
    """What can be chosen of a trial: its load points, or, where levels are averaged, the whole of it."""
    points = [p for p in score.points if p.objective == objective.name]
    if objective.aggregate is Aggregate.BEST:
        for p in points:
            yield Choice(
                trial_id,
                p.level,
                p.value,
                p.score,
                p.feasible,
                p.slo_met,
                p.violations,
                p.reason,
                point_merit(p, objective, select),
                p.unsure,
            )
    else:
        yield Choice(
            trial_id,
            None,
            score.value,
            score.score,
            score.feasible,
            score.slo_met,
            score.violations,
            score.reason,
            make_merit([(p.value, p.excess) for p in points], objective.direction, select, feasible=score.feasible),
            tuple(dict.fromkeys(column for p in points for column in p.unsure)),
        )
