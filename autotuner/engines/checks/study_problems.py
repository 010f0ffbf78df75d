"""What is wrong with a study's flags and values, by the catalogues and rules of its engines."""

from __future__ import annotations

from dataclasses import replace

from autotuner.engines.checks.images import image_problems
from autotuner.engines.checks.left_out import left_out_problems
from autotuner.engines.checks.said_twice import said_twice
from autotuner.engines.one_engine import split_prefix, study_of
from autotuner.engines.problem import Problem
from autotuner.engines.registry import get_engine
from autotuner.engines.settings import ENGINE
from autotuner.space import SearchSpace, values_to_check
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
    return [*found, *image_problems(study), *left_out_problems(study, space)]


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
