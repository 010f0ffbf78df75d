"""Searchers: what proposes the next Config. One interface, one file a family."""

from autotuner.tuning.proposers.factory import make_proposer, require_searchable, require_searcher
from autotuner.tuning.proposers.proposer import (
    Amending,
    Comparing,
    Foreseeing,
    GainBelief,
    Outcome,
    OutcomeKind,
    Proposer,
)
from autotuner.tuning.proposers.shown import Shown

__all__ = [
    "Amending",
    "Comparing",
    "Foreseeing",
    "GainBelief",
    "Outcome",
    "OutcomeKind",
    "Proposer",
    "Shown",
    "make_proposer",
    "require_searchable",
    "require_searcher",
]
