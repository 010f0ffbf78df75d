"""Fronts: how much of a surface's true front a search has in hand, by the GPU-seconds that were spent by then."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from optuna._hypervolume import compute_hypervolume

from autotuner.scoring import Direction, Score, pareto_front
from autotuner.scoring.merit import Grade
from autotuner.space.config import Config
from autotuner.study.model import Slo
from benchmarks.search_cost.surface import Surface

Vector = NDArray[np.float64]
Measured = tuple[float, Config, Score | None]  # GPU-seconds of one trial, its Config, what it measured


@dataclass(frozen=True)
class Goal:
    """A surface that is asked for several objectives, without its SLOs, which would cut off what a front is to weigh.

    Vectors are logarithms of values, turned so that more is better. Volumes are above the worst that any Config has in
    each objective, as shares of what all Configs have.
    """

    surface: Surface
    objectives: Sequence[str]

    @classmethod
    def of(cls, surface: Surface, objectives: Sequence[str]) -> Goal:
        study = surface.study.model_copy(update={"objective": list(objectives), "slo": Slo()})
        return cls(replace(surface, study=study), objectives)

    def vector(self, score: Score | None) -> Vector | None:
        """``None`` of what failed."""
        merits = [] if score is None else [score.merit(name) for name in self.objectives]
        if not merits or any(merit.grade is not Grade.MEETING for merit in merits):
            return None
        return np.array([merit.good for merit in merits])

    def true_vector(self, config: Config) -> Vector | None:
        return self.vector(self.surface.truth(config).score)

    @cached_property
    def feasible(self) -> Vector:
        """True vectors of all Configs that can be measured, a row each."""
        found = (self.true_vector(config) for config in self.surface.configs)
        return np.array([vector for vector in found if vector is not None])

    @cached_property
    def whole(self) -> float:
        return self._volume(self.feasible)

    def share(self, configs: Iterable[Config]) -> float:
        """Of the true front's volume, by the true vectors of these Configs."""
        vectors = [vector for config in configs if (vector := self.true_vector(config)) is not None]
        return self._volume(np.array(vectors)) / self.whole if vectors else 0.0

    def _volume(self, vectors: Vector) -> float:
        worst = self.feasible.min(axis=0)
        return float(compute_hypervolume(-np.maximum(vectors, worst), -worst))


@dataclass(frozen=True)
class Step:
    """``share``: of the true front's volume, once ``spent_s`` GPU-seconds had been spent."""

    spent_s: float
    share: float


def steps(goal: Goal, measured: Iterable[Measured]) -> list[Step]:
    """After each trial the Configs of the front, as it was measured, are what a user has in hand."""
    spent_s = 0.0
    known: list[tuple[Config, Vector]] = []
    found = []
    for seconds, config, score in measured:
        spent_s += seconds
        vector = goal.vector(score)
        if vector is not None:
            known = _front([*known, (config, vector)])
        found.append(Step(spent_s, goal.share(config for config, _ in known)))
    return found


def _front(known: Sequence[tuple[Config, Vector]]) -> list[tuple[Config, Vector]]:
    vectors = np.array([vector for _, vector in known])
    return [known[place] for place in pareto_front(vectors, [Direction.MAX] * vectors.shape[1])]


def reached_s(trace: Sequence[Step], share: float) -> float | None:
    """GPU-seconds until the front in hand had that share; ``None``: it never had."""
    return next((step.spent_s for step in trace if step.share >= share), None)
