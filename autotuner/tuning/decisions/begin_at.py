"""Where a trial's search for the largest load begins. Pure."""

from __future__ import annotations

from typing import Protocol

from autotuner.metrics.load_level import LoadLevel
from autotuner.results.finals import round_of
from autotuner.results.noise.references import reference_of
from autotuner.results.records import Phase
from autotuner.scoring import Score
from autotuner.tuning.decisions.assignment import Assignment


class KnownScores(Protocol):
    def best(self) -> str | None: ...

    def score_of(self, trial_id: str) -> Score | None: ...


def begin_at(assignment: Assignment, known: KnownScores) -> LoadLevel | None:
    """What measures a Config afresh: what that held in its own trial. Any other trial: the incumbent's load.

    ``None`` where nothing held any load yet.
    """
    trial_id: str | None
    match assignment.phase:
        case Phase.CONFIRM:
            trial_id = round_of(assignment.trial_id)[0]
        case Phase.REFERENCE:
            trial_id = reference_of(assignment.trial_id)[0]
        case _:
            trial_id = known.best()
    score = None if trial_id is None else known.score_of(trial_id)
    return None if score is None else score.level
