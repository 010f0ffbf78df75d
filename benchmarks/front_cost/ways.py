"""Ways to search for a front: drawn Configs, NSGA-II as Optuna gives it, and the product's own."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence

import optuna

from autotuner.scoring import Score
from autotuner.scoring.merit import Merit
from benchmarks.front_cost.fronts import Goal, Measured, Step, steps
from benchmarks.search_cost.ours import measured_trials
from benchmarks.search_cost.trial import try_config
from benchmarks.search_cost.ways import asked_of

Way = Callable[[Goal, int, int], Sequence[Step]]  # goal, trials, seed → the front in hand after each trial
NSGA2, OURS = "nsga2", "autotuner"


def drawn(goal: Goal, trials: int, seed: int) -> Sequence[Step]:
    """Configs drawn evenly."""
    rng, surface = random.Random(seed), goal.surface
    tried = (try_config(surface, surface.space.sample(rng), seed, number) for number in range(trials))
    return steps(goal, ((one.gpu_s, one.config, one.score) for one in tried))


def nsga2(goal: Goal, trials: int, seed: int) -> Sequence[Step]:
    """A quarter of the trials is a generation: with Optuna's 50 most studies would end in their first."""
    logging.getLogger("optuna").setLevel(logging.ERROR)
    sampler = optuna.samplers.NSGAIISampler(seed=seed, population_size=max(4, trials // 4))
    study = optuna.create_study(sampler=sampler, directions=["maximize"] * len(goal.objectives))
    tried: list[Measured] = []
    for asked in asked_of(study, goal.surface, trials):
        one = try_config(goal.surface, asked.config, seed, len(tried))
        tried.append((one.gpu_s, one.config, one.score))
        study.tell(asked.trial, _told(goal, one.score))
    return steps(goal, tried)


def autotuner(goal: Goal, trials: int, seed: int) -> Sequence[Step]:
    """Its confirmations cost, and find nothing: they come after the last step of the search."""
    return steps(goal, measured_trials(goal.surface, trials, seed))


def _told(goal: Goal, score: Score | None) -> list[float]:
    return [(Merit() if score is None else score.merit(name)).told for name in goal.objectives]


WAYS: dict[str, Way] = {"random": drawn, NSGA2: nsga2, OURS: autotuner}
