"""What is wrong with a study's flags and values, by the catalogues and rules of its engines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from autotuner.engines.one_engine import split_prefix, study_of
from autotuner.engines.problem import Problem
from autotuner.engines.registry import get_engine
from autotuner.engines.settings import ENGINE
from autotuner.space import Choice, Rule, SearchSpace, values_to_check
from autotuner.space.model_rules import KEY as MODEL
from autotuner.space.parallelism import PARALLELISM_NAMES
from autotuner.study.model import Study


def study_problems(study: Study, space: SearchSpace) -> list[Problem]:
    """Problems of every engine of the study, each told under the study's own keys."""
    found = [
        Problem(f"engine.per_engine.{name}", name, f"the study's engines are {', '.join(study.engine.names)}")
        for name in study.engine.per_engine
        if name not in study.engine.names
    ]
    pairs = [(name, value) for name, value in values_to_check(space) if name != ENGINE]
    for engine_name in study.engine.names:
        own = [(split_prefix(n)[1], v) for n, v in pairs if split_prefix(n)[0] in (None, engine_name)]
        prefixed = {split_prefix(n)[1]: n for n, _ in pairs if split_prefix(n)[0] == engine_name}
        for problem in get_engine(engine_name).problems(study_of(study, engine_name), own):
            found.append(_under_own_key(problem, prefixed))
    return [*found, *_impossible_degrees(study, space)]


def _under_own_key(problem: Problem, prefixed: dict[str, str]) -> Problem:
    section, _, name = problem.key.partition("parameters.")
    if section == "space." and name in prefixed:
        return Problem(
            f"space.parameters.{prefixed[name]}", problem.value, problem.rule, problem.nearest, problem.fatal
        )
    return problem


def _impossible_degrees(study: Study, space: SearchSpace) -> Iterator[Problem]:
    """Degrees of parallelism that the study lists and that no Config can have.

    What the engine can't do is refused; what the model or its GPUs rule out is told.
    """
    engines = [{ENGINE: name} for name in study.engine.names] if len(study.engine.names) > 1 else [{}]
    for parameter in space.parameters:
        if parameter.name not in PARALLELISM_NAMES or not isinstance(parameter, Choice):
            continue
        if getattr(study.space.parallelism, parameter.name) is None:
            continue  # a preset's
        alone = [rule for rule in space.constraints if rule.reason and _is_about(rule, parameter.name)]
        possible = {
            value: [_broken(alone, {parameter.name: value, **engine}) for engine in engines]
            for value in parameter.options
        }
        fine = [value for value, broken in possible.items() if None in broken]
        for value, broken in possible.items():
            rules = [rule for rule in broken if rule is not None]
            if len(rules) == len(engines):
                fatal = all(rule.key != MODEL for rule in rules)
                reasons = "; ".join(dict.fromkeys(rule.reason for rule in rules))
                nearest = str(fine[0]) if fine else None
                yield Problem(f"space.parallelism.{parameter.name}", value, reasons, nearest, fatal)


def _is_about(rule: Rule, name: str) -> bool:
    """Whether it looks at this parameter, and at the engine at most."""
    named = {parameter.name for parameter in rule.parameters}
    return name in named and named <= {name, ENGINE}


def _broken(rules: list[Rule], values: dict[str, Any]) -> Rule | None:
    return next((rule for rule in rules if rule.holds(values) is False), None)
