"""BestSoFar: the best trial among those whose ends were told."""

from __future__ import annotations

from dataclasses import dataclass

from autotuner.results.records import TrialState
from autotuner.scoring.score import Score
from autotuner.tuning.events import StudyStarted, TrialEnded


@dataclass
class BestSoFar:
    """``best``: the trial's id and its score."""

    best: tuple[str, Score] | None = None

    def begin(self, study: StudyStarted) -> None:
        self.best = study.resumed_best

    def see(self, event: TrialEnded) -> None:
        score = event.score
        is_eligible = event.phase.explores and event.state is TrialState.COMPLETED
        if is_eligible and score is not None and score.feasible and self._beats(score):
            self.best = (event.trial_id, score)

    def _beats(self, score: Score) -> bool:
        return self.best is None or score.merit() > self.best[1].merit()
