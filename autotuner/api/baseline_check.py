"""Whether a study's own baseline is a Config that could be: judged as the space is, under its own key."""

from __future__ import annotations

from autotuner.engines import study_problems
from autotuner.engines.known_space import known_space
from autotuner.engines.problem import Problem
from autotuner.engines.settings import ENGINE
from autotuner.errors import InputError
from autotuner.space import SearchSpace
from autotuner.space.config import Config
from autotuner.study.known_models import KnownModels
from autotuner.study.model import Study
from autotuner.tuning.decisions.default_space import KEY, narrowed

_SECTIONS = ("space.parameters.", "space.parallelism.", "space.quantization.", "engine.args.")


def baseline_problem(
    study: Study, space: SearchSpace, baseline: Config, models: KnownModels, request_tokens: int | None
) -> Problem | None:
    """The first thing wrong with a baseline that the study gives; ``None`` for the engine's default.

    Of the study's own constraints those count whose parameters it sets: what it leaves out has the engine's default.
    """
    if study.search.baseline == "default":
        return None
    alone = narrowed(study, space, {ENGINE: study.engine.names[0], **baseline.values})
    try:
        only = known_space(alone, models, request_tokens)
    except InputError as error:
        return Problem(KEY, dict(study.search.baseline), error.rule or error.message)
    wrong = next((problem for problem in study_problems(alone, only) if problem.fatal), None)
    if wrong is None:
        return None
    section = next((section for section in _SECTIONS if wrong.key.startswith(section)), None)
    key = f"{KEY}.{wrong.key.removeprefix(section)}" if section else KEY
    return Problem(key, wrong.value, wrong.rule, wrong.nearest)
