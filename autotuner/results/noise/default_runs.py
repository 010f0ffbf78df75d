"""What the default's own trial and its references showed, made comparable. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autotuner.metrics.direction import Direction
from autotuner.metrics.load_level import LoadLevel
from autotuner.results.noise.drift import DefaultRun
from autotuner.results.noise.references import reference_of
from autotuner.scoring.objective import Objective
from autotuner.scoring.score import Score


@dataclass(frozen=True)
class ScoredRun:
    """A trial that came to its end: when it did (epoch seconds), and on which node."""

    trial_id: str
    score: Score
    at_s: float
    node: str

    @property
    def host(self) -> str:
        return host_of(self.node)


def host_of(node: str) -> str:
    """A node by its name alone: in each life of a study Ray gives it another number."""
    return node.partition("/")[0]


def default_runs(
    default: ScoredRun | None, references: Sequence[ScoredRun], objectives: Sequence[Objective]
) -> list[DefaultRun]:
    """``default``: ``None`` where it tells nothing. References are measured at one level: there the default counts."""
    levels = {point.level for run in references for point in run.score.points}
    level = levels.pop() if len(levels) == 1 else None
    runs = [] if default is None or not references else [(0, default)]
    runs += [(reference_of(run.trial_id)[1], run) for run in references]
    return [
        DefaultRun(number, run.at_s, run.host, tuple(_good(run.score, o, level) for o in objectives), run.trial_id)
        for number, run in runs
    ]


def _good(score: Score, objective: Objective, level: LoadLevel | None) -> float | None:
    """The logarithm of the value at a level, turned so that more is better; without a level, of the whole rung."""
    if level is None:
        value = score.value if score.feasible and objective.name == next(iter(score.objectives), "") else None
    else:
        found = (p for p in score.points if p.level == level and p.objective == objective.name and p.feasible)
        value = next((p.value for p in found), None)
    if value is None or value <= 0:
        return None
    return math.log(value) if objective.direction is Direction.MAX else -math.log(value)
