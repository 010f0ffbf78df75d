"""Where a trial's search for the largest load begins. Pure."""

from __future__ import annotations

from typing import Protocol

from autotuner.metrics.load_level import LoadLevel
from autotuner.results.finals import round_of
from autotuner.results.records import Phase
from autotuner.scoring import Score
from autotuner.tuning.decisions.assignment import Assignment


class KnownScores(Protocol):
    def best(self) -> str | None: ...

    def score_of(self, trial_id: str) -> Score | None: ...


def begin_at(assignment: Assignment, known: KnownScores) -> LoadLevel | None:
    """A confirmation: what its own Config held in the search. Any other trial: the incumbent's load.

    ``None`` where nothing held any load yet.
    """
    trial_id = round_of(assignment.trial_id)[0] if assignment.phase is Phase.CONFIRM else known.best()
    score = None if trial_id is None else known.score_of(trial_id)
    return None if score is None else score.level
