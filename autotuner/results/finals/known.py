"""The finals of a study, from the scores of its trials: those that planned them and those that tell of them agree."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autotuner.benchmark.traffic.ladder import RESOLUTION
from autotuner.metrics.direction import Direction
from autotuner.results.finals.finals import FAILED, Finals, Run
from autotuner.scoring.max_load import FOUND
from autotuner.scoring.merit import Select
from autotuner.scoring.objective import Objective
from autotuner.scoring.score import Score
from autotuner.scoring.select import Choice, select_best, select_closest


@dataclass(frozen=True)
class FinalsRules:
    """``rounds``: how many there may be; ``finalists``: how many, the best included."""

    objective: Objective
    select: Select
    rounds: int
    finalists: int


def make_finals(
    searched: Mapping[str, Score],
    fresh: Mapping[str, Score | None],
    default: str,
    configs: Mapping[str, Mapping[str, Any]],
    rules: FinalsRules,
) -> Finals | None:
    """``searched``: the last rungs of completed trials, confirmations left out; ``fresh``: those of confirmations,
    ``None`` where its own fault kept one from its end; ``configs``: of the trials of baseline and search.

    ``None`` without a best, or where that is the default: there is nothing to confirm.
    """
    choices = [select_best({name: score}, rules.objective, rules.select) for name, score in searched.items()]
    ranked = sorted((c for c in choices if c is not None), key=lambda c: c.merit, reverse=True)
    if not ranked or ranked[0].trial_id == default:
        return None
    candidates = tuple(c.trial_id for c in ranked if c.trial_id != default)[: rules.finalists]
    runs: dict[str, dict[int, Run]] = {}
    for trial_id, score in fresh.items():
        name, number = round_of(trial_id)
        runs.setdefault(name, {})[number] = FAILED if score is None else _run(trial_id, score, rules)
    return Finals(
        default,
        candidates,
        rules.rounds,
        {name: _run(name, searched[name], rules) for name in (default, *candidates) if name in searched},
        {name: runs[name] for name in (default, *candidates) if name in runs},
        {name: _changes(configs[name], configs[default]) for name in candidates},
        RESOLUTION if rules.objective.column in FOUND else 0.0,
    )


def confirmation_id(trial_id: str, number: int) -> str:
    """Of the run of a trial's Config in a round."""
    return f"{trial_id}-c{number}"


def round_of(confirmation: str) -> tuple[str, int]:
    """Whose Config a confirmation measures, and in which round."""
    name, _, number = confirmation.rpartition("-c")
    return name, int(number)


def fresh_choice(trial_id: str, score: Score, objective: Objective, select: Select) -> Choice:
    """What counts of a run: its best point, or what came closest."""
    best = select_best({trial_id: score}, objective, select)
    nothing = Choice(trial_id, None, None, score.score, False, False, reason=score.reason)
    return best or select_closest({trial_id: score}, objective) or nothing


def _run(trial_id: str, score: Score, rules: FinalsRules) -> Run:
    choice = fresh_choice(trial_id, score, rules.objective, rules.select)
    sign = 1.0 if rules.objective.direction is Direction.MAX else -1.0
    return Run(sign * math.log(choice.value) if choice.value and choice.value > 0 else None, choice.merit.grade)


def _changes(config: Mapping[str, Any], default: Mapping[str, Any]) -> int:
    return sum(config.get(name) != default.get(name) for name in {*config, *default})
