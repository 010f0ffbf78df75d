"""Objective: what a study optimises, by the name it has in the study file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from autotuner.errors import StudyError
from autotuner.metrics.direction import Direction
from autotuner.metrics.registry import LATENCY_METRICS, STATISTICS
from autotuner.nearest import nearest_word


class Aggregate(StrEnum):
    """How the load points of a rung become one score."""

    BEST = "best"  # the best feasible load point
    MEAN = "mean"  # the mean over all declared levels; one that is infeasible makes the rung infeasible


@dataclass(frozen=True)
class Objective:
    name: str
    column: str
    direction: Direction
    aggregate: Aggregate


def _objectives() -> Iterator[Objective]:
    for name, rate in (("throughput", "output_tokens_per_s"), ("goodput", "goodput_per_s")):
        per_cost = rate.removesuffix("_per_s") + "_per_cost"
        for suffix, column in (("", rate), ("_per_gpu", f"{rate}_per_gpu"), ("_per_cost", per_cost)):
            yield Objective(name + suffix, column, Direction.MAX, Aggregate.BEST)
    for name in ("max_load", "max_load_per_gpu"):
        yield Objective(name, name, Direction.MAX, Aggregate.BEST)
    yield Objective("cost_per_mtok", "cost_per_mtok", Direction.MIN, Aggregate.BEST)
    yield Objective("energy_j_per_token", "energy_j_per_token", Direction.MIN, Aggregate.BEST)
    yield Objective("tokens_per_s_per_user", "tokens_per_s_per_user", Direction.MAX, Aggregate.MEAN)
    for latency in LATENCY_METRICS:
        for statistic in STATISTICS:
            yield Objective(f"{latency.name}_{statistic}", latency.column(statistic), Direction.MIN, Aggregate.MEAN)


OBJECTIVES: tuple[Objective, ...] = tuple(_objectives())


def parse_objective(name: str) -> Objective:
    """The objective of that name. Raises StudyError, naming the nearest."""
    for objective in OBJECTIVES:
        if objective.name == name:
            return objective
    names = [objective.name for objective in OBJECTIVES]
    nearest = nearest_word(name, names, cutoff=0.0)
    raise StudyError(
        f"objective: {name!r} is no objective; did you mean {nearest!r}?",
        key="objective",
        value=name,
        rule=f"one of {', '.join(names)}",
        nearest=nearest,
    )


def parse_objectives(names: Iterable[str]) -> tuple[Objective, ...]:
    """The objectives of a study, in its order."""
    return tuple(parse_objective(name) for name in names)
