"""What is wrong with a study's flags and values, by the catalogues and rules of its engines."""

from __future__ import annotations

from collections.abc import Iterator

from autotuner.engines.one_engine import split_prefix, study_of
from autotuner.engines.problem import Problem
from autotuner.engines.registry import get_engine
from autotuner.engines.settings import ENGINE
from autotuner.space import Choice, SearchSpace, values_to_check
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
    """Degrees of parallelism that the study lists and that no Config can have, for what the engine can't do."""
    listed = study.space.parallelism
    for parameter in space.parameters:
        if parameter.name not in PARALLELISM_NAMES or not isinstance(parameter, Choice):
            continue
        if getattr(listed, parameter.name) is None:
            continue  # a preset's
        alone = [rule for rule in space.constraints if [p.name for p in rule.parameters] == [parameter.name]]
        for value in parameter.options:
            for rule in alone:
                if rule.reason and rule.holds({parameter.name: value}) is False:
                    nearest = next((v for v in parameter.options if rule.holds({parameter.name: v})), 1)
                    fatal = rule.key.startswith(ENGINE)
                    yield Problem(f"space.parallelism.{parameter.name}", value, rule.reason, str(nearest), fatal)
                    break
