"""What is wrong with a study's flags and values, by the catalogues and rules of its engines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from autotuner.engines.images import image_problems
from autotuner.engines.one_engine import split_prefix, study_of
from autotuner.engines.problem import Problem
from autotuner.engines.registry import get_engine
from autotuner.engines.said_twice import said_twice
from autotuner.engines.settings import ENGINE
from autotuner.space import Choice, Rule, SearchSpace, values_to_check
from autotuner.space.model_rules import KEY as MODEL
from autotuner.space.parallelism import PARALLELISM_NAMES
from autotuner.space.quantization import QUANTIZATION_PRESETS
from autotuner.study.model import Study, as_tuple

_PARAMETERS = "space.parameters."


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
        engine, own_study = get_engine(engine_name), study_of(study, engine_name)
        for problem in (*engine.problems(own_study, own), *said_twice(engine, own_study, own)):
            found.append(_under_own_key(study, problem, prefixed))
    return [*found, *image_problems(study), *_impossible_values(study, space)]


def _under_own_key(study: Study, problem: Problem, prefixed: dict[str, str]) -> Problem:
    """The problem under the key that the user wrote: a name with its engine in front, a preset."""
    section, _, name = problem.key.rpartition(".")
    flag = problem.key.removeprefix(_PARAMETERS) if problem.key.startswith(_PARAMETERS) else ""
    for own, full in prefixed.items():
        if flag == own or flag.startswith(f"{own}."):  # a key of its map
            return replace(problem, key=_PARAMETERS + full + flag.removeprefix(own))
    if section == "space.quantization" and getattr(study.space.quantization, name, "") is None:
        presets = as_tuple(study.space.quantization.preset)
        named = [p for p in presets if getattr(QUANTIZATION_PRESETS.get(p), name, None) == problem.value]
        rule = f"{name} {problem.value}: {problem.rule}"
        nearest = "default" if problem.fatal else problem.nearest
        return Problem(f"{section}.preset", ", ".join(named), rule, nearest, problem.fatal)
    return problem


def _impossible_values(study: Study, space: SearchSpace) -> Iterator[Problem]:
    """Values that the study lists and that no Config can have.

    A degree of parallelism that the engine can't have is refused; what the model or its GPUs rule out is told.
    """
    engines = [{ENGINE: name} for name in study.engine.names] if len(study.engine.names) > 1 else [{}]
    for parameter in space.parameters:
        key = _key(study, parameter.name)
        if key is None or not isinstance(parameter, Choice):
            continue
        alone = [rule for rule in space.constraints if rule.reason and _is_about(rule, parameter.name)]
        possible = [
            (value, [_broken(alone, {parameter.name: value, **engine}) for engine in engines])
            for value in parameter.options
        ]
        fine = [value for value, broken in possible if None in broken]
        for value, broken in possible:
            rules = [rule for rule in broken if rule is not None]
            if len(rules) == len(engines):
                fatal = parameter.name in PARALLELISM_NAMES and all(rule.key != MODEL for rule in rules)
                reasons = "; ".join(dict.fromkeys(rule.reason for rule in rules))
                yield Problem(key, value, reasons, str(fine[0]) if fine else None, fatal)


def _key(study: Study, name: str) -> str | None:
    """The key under which the study lists a parameter's values; ``None`` for a preset's."""
    if name in PARALLELISM_NAMES:
        return None if getattr(study.space.parallelism, name) is None else f"space.parallelism.{name}"
    return f"{_PARAMETERS}{name}" if name in study.space.parameters else None


def _is_about(rule: Rule, name: str) -> bool:
    """Whether it looks at this parameter, and at the engine at most."""
    named = {parameter.name for parameter in rule.parameters}
    return name in named and named <= {name, ENGINE}


def _broken(rules: list[Rule], values: dict[str, Any]) -> Rule | None:
    return next((rule for rule in rules if rule.holds(values) is False), None)
