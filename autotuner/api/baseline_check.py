"""Whether a study's own baseline is a Config that could be: judged as the space is, under its own key."""

from __future__ import annotations

from typing import Any

from autotuner.engines import study_problems
from autotuner.engines.problem import Problem
from autotuner.engines.settings import ENGINE
from autotuner.errors import InputError
from autotuner.space import Choice, SearchSpace
from autotuner.space.config import Config
from autotuner.space.parallelism import PARALLELISM_NAMES
from autotuner.space.quantization import PREFIX, QUANTIZATION_NAMES
from autotuner.study.known_models import KnownModels
from autotuner.study.model import Study
from autotuner.tuning.known_space import known_space

_KEY = "search.baseline"
_SECTIONS = ("space.parameters.", "space.parallelism.", "space.quantization.", "engine.args.")


def baseline_problem(study: Study, space: SearchSpace, baseline: Config, models: KnownModels) -> Problem | None:
    """The first thing wrong with a baseline that the study gives; ``None`` for the engine's default.

    Of the study's own constraints those count whose parameters it sets: what it leaves out has the engine's default.
    """
    if study.search.baseline == "default":
        return None
    alone = _alone(study, space, baseline)
    try:
        only = known_space(alone, models)
    except InputError as error:
        return Problem(_KEY, dict(study.search.baseline), error.rule or error.message)
    wrong = next((problem for problem in study_problems(alone, only) if problem.fatal), None)
    if wrong is None:
        return None
    section = next((section for section in _SECTIONS if wrong.key.startswith(section)), None)
    key = f"{_KEY}.{wrong.key.removeprefix(section)}" if section else _KEY
    return Problem(key, wrong.value, wrong.rule, wrong.nearest)


def _alone(study: Study, space: SearchSpace, baseline: Config) -> Study:
    """The study whose space has the baseline alone."""
    values = dict(baseline.values)
    engine = str(values.pop(ENGINE, study.engine.names[0]))
    normalised = (*PARALLELISM_NAMES, *QUANTIZATION_NAMES)
    given: dict[str, Any] = {
        "parallelism": {name: values[name] for name in PARALLELISM_NAMES if name in values},
        "quantization": {n.removeprefix(PREFIX): values[n] for n in QUANTIZATION_NAMES if n in values},
        "parameters": {
            name: {"choices": {_label(space, name, value): value}}
            for name, value in values.items()
            if name not in normalised
        },
        "constraints": [
            rule.text
            for rule in space.constraints
            if rule.text in study.space.constraints and all(p.name in values for p in rule.parameters)
        ],
    }
    data = study.model_dump(mode="python", exclude={"space", "search"})
    data["engine"] |= {"name": engine, "per_engine": {}}
    own = study.engine.per_engine.get(engine)
    if own is not None:
        data["engine"]["per_engine"] = {engine: own.model_dump(mode="python")}
    return Study.model_validate({**data, "space": given})


def _label(space: SearchSpace, name: str, value: object) -> str:
    """How expressions call the value, where the space has it."""
    parameter = next((p for p in space.parameters if p.name == name), None)
    return parameter.label_of(value) if isinstance(parameter, Choice) and parameter.contains(value) else "baseline"
