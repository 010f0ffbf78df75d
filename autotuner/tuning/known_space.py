"""A study's space with what is known of its model on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from autotuner.benchmark import longest_request_tokens
from autotuner.engines import build_space, model_constraints
from autotuner.space import SearchSpace
from autotuner.study.model import Study
from autotuner.study.model_facts import ModelFacts, find_model_facts


@dataclass(frozen=True)
class KnownSpace:
    """``facts`` is ``None`` where the model's files are not on this machine: the space is then the engines' alone."""

    space: SearchSpace
    facts: ModelFacts | None


def known_space(study: Study) -> KnownSpace:
    """Raises SpaceError where no Config can be, with the constraint that forbids most, and StudyError."""
    facts = None if study.launcher.kind == "endpoint" else find_model_facts(study.model.id)
    space = build_space(study)
    if facts is None:
        return KnownSpace(space, None)
    variants = {name: find_model_facts(model) for name, model in study.model.variants.items()}
    rules = model_constraints(study, space, facts, variants, longest_request_tokens(study.workload))
    return KnownSpace(build_space(study, rules) if rules else space, facts)
