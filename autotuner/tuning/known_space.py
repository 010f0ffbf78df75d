"""A study's space with what is known of its model."""

from __future__ import annotations

from autotuner.benchmark import longest_request_tokens
from autotuner.engines import build_space, model_constraints, under_written_key
from autotuner.errors import SpaceError
from autotuner.space import SearchSpace
from autotuner.study.known_models import KnownModels
from autotuner.study.model import Study


def known_space(study: Study, models: KnownModels) -> SearchSpace:
    """The space. Of a model that is not known its requests still rule out what is too short for them.

    Raises SpaceError where no Config can be, with the constraint that forbids most, and StudyError.
    """
    space = build_space(study)
    if study.launcher.kind == "endpoint":
        return space
    tokens = longest_request_tokens(study.workload, study.slo.error_rate)
    rules = model_constraints(study, space, models.facts, models.variants, tokens)
    try:
        return build_space(study, rules) if rules else space
    except SpaceError as error:
        raise under_written_key(study, error) from error
