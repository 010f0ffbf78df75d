"""Variables of a server's environment: which names there can be, and which the launcher keeps for itself."""

from __future__ import annotations

import re
from collections.abc import Iterator

from autotuner.strict.problem import Problem
from autotuner.study.model import Study

_ENV = "env."
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESERVED = {  # name, or prefix with a * → why; servers/supervision/rank_starter.py sets or drops them
    "CUDA_VISIBLE_DEVICES": "is set at launch: a server sees the GPUs that its trial has reserved, and no others",
    "RAY_*": "would make a server join the Ray cluster that the trials run on: servers are kept apart from it",
    "AUTOTUNER_*": "is set at launch: by these variables the processes of a study are found again",
}


def variable_rule(name: str) -> str | None:
    """Why a study can't set the variable ``name``; ``None`` where it can."""
    if not _NAME.fullmatch(name):
        return "no name of an environment variable: letters, digits and _, the first no digit"
    for known, rule in _RESERVED.items():
        if name == known or (known.endswith("*") and name.startswith(known[:-1])):
            return rule
    return None


def environment_problems(study: Study) -> Iterator[Problem]:
    """Variables that can't be set, and those that are said twice."""
    baseline = {} if study.search.baseline == "default" else dict(study.search.baseline)
    searched = [(f"space.parameters.{name}", name) for name in study.space.parameters]
    for key, parameter in [*searched, *((f"search.baseline.{name}", name) for name in baseline)]:
        variable = _variable(study, parameter)
        if variable is not None and (rule := variable_rule(variable)) is not None:
            yield Problem(key, variable, rule)
    for section, env in _sections(study):
        for variable in env:
            rule = variable_rule(variable)
            if rule is not None:
                yield Problem(f"{section}.{variable}", None, rule, shows_value=False)
    yield from _twice(study)


def _twice(study: Study) -> Iterator[Problem]:
    """A variable that one engine's servers would get from two places: the first of each name counts."""
    told: set[str] = set()
    for engine in study.engine.names:
        fixed = {name: f"{section}.{name}" for section, env in _sections(study, engine) for name in env}
        for parameter in study.space.parameters:
            if not parameter.startswith((_ENV, f"{engine}.{_ENV}")) or parameter in told:
                continue
            variable = parameter.partition(_ENV)[2]
            if variable in fixed:
                told.add(parameter)
                rule = f"{fixed[variable]} says it as well: leave one of them out"
                yield Problem(f"space.parameters.{parameter}", variable, rule)
            fixed[variable] = f"space.parameters.{parameter}"


def _sections(study: Study, engine: str | None = None) -> Iterator[tuple[str, list[str]]]:
    """Where variables are fixed, for ``engine`` or for all: key and names."""
    yield "engine.env", list(study.engine.env)
    for name, settings in study.engine.per_engine.items():
        if engine in (None, name):
            yield f"engine.per_engine.{name}.env", list(settings.env)


def _variable(study: Study, parameter: str) -> str | None:
    """The variable that ``env.X``, or ``vllm.env.X``, sets."""
    prefixes = (_ENV, *(f"{engine}.{_ENV}" for engine in study.engine.names))
    return next((parameter.removeprefix(prefix) for prefix in prefixes if parameter.startswith(prefix)), None)
