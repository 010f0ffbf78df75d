"""ScoredTrial: a trial with the score of its last ended rung, as importance and parallel coordinates read it."""

from __future__ import annotations

from dataclasses import dataclass

from autotuner.results.records import RungRecord, TrialRecord, TrialState
from autotuner.results.result import StudyResults
from autotuner.scoring.merit import Merit


@dataclass(frozen=True)
class ScoredTrial:
    trial: TrialRecord
    rungs: tuple[RungRecord, ...]

    @property
    def last(self) -> RungRecord:
        return self.rungs[-1]

    @property
    def score(self) -> float:
        return self.last.score.score

    @property
    def feasible(self) -> bool:
        """Whether the last rung is, and the trial did not fail after it."""
        return self.last.score.feasible and self.trial.state is not TrialState.FAILED

    @property
    def merit(self) -> Merit:
        """What its last rung is worth; of a trial that failed after it, nothing."""
        return Merit() if self.trial.state is TrialState.FAILED else self.last.score.merit()


def scored_trials(results: StudyResults) -> tuple[ScoredTrial, ...]:
    """Every trial with at least one ended rung, by id; confirmations left out."""
    found = (
        ScoredTrial(trial, tuple(results.rung_records.get(trial.trial_id, ())))
        for trial in results.trial_records
        if trial.phase.explores
    )
    return tuple(sorted((s for s in found if s.rungs), key=lambda s: s.trial.trial_id))


def ranked(trials: tuple[ScoredTrial, ...]) -> tuple[ScoredTrial, ...]:
    """The feasible ones from worst to best."""
    return tuple(sorted((s for s in trials if s.feasible), key=lambda s: s.merit))
