"""The finals of a study, from the scores of its trials: those that planned them and those that tell of them agree."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
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

Word = Callable[[Mapping[str, Any], str], object]  # of a Config's values and a name


def as_said(values: Mapping[str, Any], name: str) -> object:
    """A setting as the Config says it; ``None`` where it leaves it to the server."""
    return values.get(name)


@dataclass(frozen=True)
class FinalsRules:
    """``rounds``: how many there may be; ``finalists``: how many, the best included. ``word``: what a setting of a
    Config is, so that like ones are alike. ``put_back``: whether the best with settings put back may be one."""

    objective: Objective
    select: Select
    rounds: int
    finalists: int
    word: Word = as_said
    put_back: bool = False


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
    changes = {c.trial_id: _changes(configs[c.trial_id], configs[default], rules.word) for c in ranked}
    plainer = _plainer(candidates[0], [c.trial_id for c in ranked], changes) if rules.put_back else ()
    entrants = (*candidates, *plainer)
    runs: dict[str, dict[int, Run]] = {}
    for trial_id, score in fresh.items():
        name, number = round_of(trial_id)
        runs.setdefault(name, {})[number] = FAILED if score is None else _run(trial_id, score, rules)
    return Finals(
        default,
        candidates,
        rules.rounds,
        {name: _run(name, searched[name], rules) for name in (default, *entrants) if name in searched},
        {name: runs[name] for name in (default, *entrants) if name in runs},
        {name: len(changes[name]) for name in entrants},
        RESOLUTION if rules.objective.column in FOUND else 0.0,
        plainer,
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


def _changes(config: Mapping[str, Any], default: Mapping[str, Any], word: Word) -> dict[str, object]:
    """The settings that are not as the default's, with what they are."""
    found = {name: word(config, name) for name in sorted({*config, *default})}
    return {name: value for name, value in found.items() if value != word(default, name)}


def _plainer(best: str, ranked: Sequence[str], changes: Mapping[str, Mapping[str, object]]) -> tuple[str, ...]:
    """Of ``ranked`` those whose changes are some of the best's, but for the default itself; the fewest first."""
    own = changes[best].items()
    found = [name for name in ranked if changes[name] and changes[name].items() < own]
    return tuple(sorted(found, key=lambda name: (len(changes[name]), ranked.index(name))))
