"""Progress: what is known of a running study, from its events alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from autotuner.results.account import Account, LifeSpent
from autotuner.results.pace import left_s
from autotuner.results.records import Phase, TrialState
from autotuner.results.waits import Wait
from autotuner.scoring import Choice, parse_objective, select_closest
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
    Waiting,
)


@dataclass
class RunningTrial:
    phase: Phase
    started_s: float
    gpus: int = 0
    cpus: int = 0
    rungs_ended: int = 0
    score: Score | None = None


@dataclass
class Progress:
    """Events in, figures out. ``clock`` gives seconds of any origin; this life began at ``_began_s``."""

    clock: Callable[[], float]
    study: StudyStarted | None = None
    running: dict[str, RunningTrial] = field(default_factory=dict)
    ended: Counter[TrialState] = field(default_factory=Counter)
    confirmations_ended: int = 0
    message: str = ""
    waits: tuple[Wait, ...] = ()
    _began_s: float = 0.0
    _told_s: float = 0.0
    _gpu_s: float = 0.0  # of trials that have ended, here and in earlier lives
    _cpu_s: float = 0.0
    _counted: int = 0
    _final: Account | None = None
    _best: BestSoFar = field(default_factory=BestSoFar)

    def see(self, event: Event) -> None:
        match event:
            case StudyStarted():
                self.study, self._began_s = event, self.clock() - event.account.last_wall_clock_s
                self._gpu_s, self._cpu_s = event.account.gpu_s, event.account.cpu_s
                self._best.begin(event)
            case PhaseStarted():
                self.message = event.message
            case TrialStarted():
                self.running[event.trial_id] = RunningTrial(event.phase, self.clock(), event.gpus, event.cpus)
            case RungEnded():
                trial = self.running.setdefault(event.trial_id, RunningTrial(event.phase, self.clock()))
                trial.rungs_ended, trial.score = event.rung + 1, event.score
            case TrialRepeated():
                self._give_back(event)
            case TrialEnded():
                self._end(event)
            case Waiting():
                self.waits = event.waits
            case StudyEnded():
                self.message, self._final, self.waits = event.stop_reason, event.account, ()

    @property
    def best(self) -> tuple[str, Score] | None:
        return self._best.best

    def chosen(self, score: Score) -> Choice | None:
        """What would be chosen of a rung: one of its load points, or all together."""
        objective = parse_objective(next(iter(score.objectives)))
        select = self.study.select if self.study is not None else "slo_met"
        return select_closest({"": score}, objective, select)

    @property
    def elapsed_s(self) -> float:
        """The wall clock of the study, over all its lives as its account has them. It never goes back."""
        self._told_s = max(self._told_s, self.account.wall_clock_s)
        return self._told_s

    @property
    def _life_s(self) -> float:
        """The wall clock of this life."""
        return 0.0 if self.study is None else self.clock() - self._began_s

    @property
    def account(self) -> Account:
        """What is spent by now, as ``autotuner status`` tells it."""
        if self._final is not None:
            return self._final
        now = self.clock()
        gpu_s = self._gpu_s + sum(trial.gpus * (now - trial.started_s) for trial in self.running.values())
        cpu_s = self._cpu_s + sum(trial.cpus * (now - trial.started_s) for trial in self.running.values())
        before = self.study.account if self.study is not None else Account()
        *ended, last = before.lives or (LifeSpent(1, 0.0, 0.0, 0.0, 0.0),)
        here = replace(
            last,
            wall_clock_s=self._life_s,
            gpu_s=last.gpu_s + gpu_s - before.gpu_s,
            cpu_s=last.cpu_s + cpu_s - before.cpu_s,
        )
        return Account((*ended, here), gpu_s, cpu_s)

    @property
    def trials_ended(self) -> int:
        """Of those that ``search.trials`` counts, in an earlier life too."""
        return self._counted + (self.study.resumed_counted if self.study else 0)

    @property
    def left_s(self) -> float | None:
        """Seconds to go at the pace so far, at most what the budget leaves; ``None`` while nothing is known."""
        if self.study is None:
            return None
        budget = None if self.study.wall_clock_s is None else max(0.0, self.study.wall_clock_s - self._life_s)
        searched = max(0, self.study.trials - self.trials_ended)
        confirmed = max(0, self.study.confirmations - self.confirmations_ended)
        here = sum(self.ended.values()) + self.confirmations_ended
        paced = left_s(self._life_s, here, searched + confirmed, budget)
        return budget if paced is None else paced

    def _give_back(self, event: TrialEnded | TrialRepeated) -> None:
        self.running.pop(event.trial_id, None)
        self._gpu_s += event.gpu_seconds
        self._cpu_s += event.cpu_seconds

    def _end(self, event: TrialEnded) -> None:
        self._give_back(event)
        if event.phase is Phase.CONFIRM:
            self.confirmations_ended += 1
        if event.phase.explores:
            self.ended[event.state] += 1
            self._counted += event.phase.counts(event.failure)
            self._best.see(event)
