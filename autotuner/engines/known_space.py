"""A study's space with what is known of its model."""

from __future__ import annotations

from autotuner.engines.blame import under_written_key
from autotuner.engines.checks.model_fit import model_constraints
from autotuner.engines.study_space import build_space
from autotuner.errors import SpaceError
from autotuner.space import SearchSpace
from autotuner.study.known_models import KnownModels
from autotuner.study.model import Study


def known_space(study: Study, models: KnownModels, request_tokens: int | None) -> SearchSpace:
    """The space. Of a model that is not known its requests still rule out what is too short for them:
    ``request_tokens``, in and out, of the longest that a server must have room for; ``None``: not known.

    Raises SpaceError where no Config can be, with the constraint that forbids most, and StudyError.
    """
    space = build_space(study)
    if not study.launcher.starts_servers:
        return space
    rules = model_constraints(study, space, models.facts, models.variants, request_tokens)
    try:
        return build_space(study, rules) if rules else space
    except SpaceError as error:
        raise under_written_key(study, error) from error
