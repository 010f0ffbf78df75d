"""make_proposer: the searcher that a study names."""

from __future__ import annotations

from autotuner.extras import require_installed
from autotuner.space import SearchSpace
from autotuner.study.model import Study
from autotuner.tuning.proposers.listed import GridProposer, RandomProposer
from autotuner.tuning.proposers.proposer import Proposer

# algorithm → the package it needs beside the requirements; each has the extra of the algorithm's name
_PACKAGES = {"cmaes": "cmaes", "gp": "torch"}


def require_searcher(study: Study) -> None:
    """Raises MissingExtraError when the package of the study's searcher is not installed."""
    algorithm = study.search.algorithm
    if algorithm in _PACKAGES:
        require_installed(_PACKAGES[algorithm], algorithm, f"search.algorithm: {algorithm}")


def require_searchable(study: Study, space: SearchSpace) -> None:
    """Raises SpaceError for a space that the study's searcher can't go through."""
    if study.search.algorithm == "grid":
        space.grid()


def make_proposer(study: Study, space: SearchSpace) -> Proposer:
    """Raises MissingExtraError when the searcher's package is not installed."""
    if not space.parameters:
        return GridProposer(space)  # one Config: nothing to search, and HyperOpt can't draw from nothing
    match study.search.algorithm:
        case "grid":
            return GridProposer(space)
        case "random":
            return RandomProposer(space, study.search.seed)
        case "auto":
            from autotuner.tuning.proposers.surrogate import SurrogateProposer

            return SurrogateProposer(space, study)
        case "hyperopt":
            from autotuner.tuning.proposers.hyperopt import HyperOptProposer

            return HyperOptProposer(space, study)
        case _:
            from autotuner.tuning.proposers.optuna import OptunaProposer

            return OptunaProposer(space, study)
