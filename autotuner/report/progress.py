"""Progress: what is known of a running study, from its events alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from autotuner.results.pace import left_s
from autotuner.results.records import Phase, TrialState
from autotuner.scoring.score import Score
from autotuner.tuning.best_so_far import BestSoFar
from autotuner.tuning.events import (
    Event,
    PhaseStarted,
    RungEnded,
    StudyEnded,
    StudyStarted,
    TrialEnded,
    TrialRepeated,
    TrialStarted,
)


@dataclass
class RunningTrial:
    phase: Phase
    started_s: float
    rungs_ended: int = 0
    score: Score | None = None


@dataclass
class Progress:
    """Events in, figures out. ``clock`` gives seconds of any origin."""

    clock: Callable[[], float]
    study: StudyStarted | None = None
    running: dict[str, RunningTrial] = field(default_factory=dict)
    ended: Counter[TrialState] = field(default_factory=Counter)
    confirmations_ended: int = 0
    gpu_seconds: float = 0.0
    cpu_seconds: float = 0.0
    message: str = ""
    _began_s: float = 0.0
    _best: BestSoFar = field(default_factory=BestSoFar)

    def see(self, event: Event) -> None:
        match event:
            case StudyStarted():
                self.study, self._began_s = event, self.clock()
                self._best.begin(event)
            case PhaseStarted():
                self.message = event.message
            case TrialStarted():
                self.running[event.trial_id] = RunningTrial(event.phase, self.clock())
            case RungEnded():
                trial = self.running.setdefault(event.trial_id, RunningTrial(event.phase, self.clock()))
                trial.rungs_ended, trial.score = event.rung + 1, event.score
            case TrialRepeated():
                self.running.pop(event.trial_id, None)
            case TrialEnded():
                self._end(event)
            case StudyEnded():
                self.message = event.stop_reason

    @property
    def best(self) -> tuple[str, Score] | None:
        return self._best.best

    @property
    def elapsed_s(self) -> float:
        return 0.0 if self.study is None else self.clock() - self._began_s

    @property
    def trials_ended(self) -> int:
        """Of the search, those of an earlier life included."""
        return sum(self.ended.values()) + (self.study.resumed_trials if self.study else 0)

    @property
    def left_s(self) -> float | None:
        """Seconds to go at the pace so far, at most what the budget leaves; ``None`` while nothing is known."""
        if self.study is None:
            return None
        budget = None if self.study.wall_clock_s is None else max(0.0, self.study.wall_clock_s - self.elapsed_s)
        searched = max(0, self.study.trials - self.trials_ended)
        confirmed = max(0, 2 * self.study.confirm - self.confirmations_ended)
        here = sum(self.ended.values()) + self.confirmations_ended
        paced = left_s(self.elapsed_s, here, searched + confirmed, budget)
        return budget if paced is None else paced

    def _end(self, event: TrialEnded) -> None:
        self.running.pop(event.trial_id, None)
        self.gpu_seconds += event.gpu_seconds
        self.cpu_seconds += event.cpu_seconds
        if event.phase is Phase.CONFIRM:
            self.confirmations_ended += 1
        if event.phase.explores:
            self.ended[event.state] += 1
            self._best.see(event)
