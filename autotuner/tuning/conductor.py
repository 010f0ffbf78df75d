"""Conductor: which trial comes next, and when a study is over. Pure: events in, decisions out.

    baseline ──▶ search: N − 1 proposals ──▶ confirm: best and default in turn ──▶ finished

The baseline is proposed first and never stopped; the search goes on beside it. Confirmation begins when
every searched trial has ended, one trial at a time. Both budgets keep room for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Literal

from autotuner.errors import Failure
from autotuner.results.records import Phase, TrialState
from autotuner.scoring import Objective, Score, infeasible_score, select_best, told_value
from autotuner.space.config import Config
from autotuner.tuning.assignment import Assignment, RungReport
from autotuner.tuning.budget import Budget, Spent
from autotuner.tuning.proposers import Outcome, OutcomeKind, Proposer


class Pause(StrEnum):
    """Why ``next()`` hands out no trial."""

    WAIT = "wait"  # until a running trial ends
    FINISHED = "finished"


@dataclass(frozen=True)
class KnownTrial:
    """A trial of an earlier life of the study: its state and its ended rungs' scores."""

    trial_id: str
    phase: Phase
    config: Config
    state: TrialState
    failure: Failure | None
    scores: tuple[Score, ...]
    seconds: float  # that it held its place
    gpus: int = 0  # that it held meanwhile


@dataclass(frozen=True)
class Rules:
    """What of the study steers the conductor. ``trials`` counts the baseline."""

    trials: int
    rungs: int
    confirm: int
    objectives: tuple[Objective, ...]
    baseline: Config
    max_running: int | None
    select: Literal["slo_met", "score"]


@dataclass
class _Followed:
    """A trial of this life, while it runs and after."""

    assignment: Assignment
    scores: list[Score] = field(default_factory=list)
    state: TrialState = TrialState.RUNNING
    seconds: float = 0.0
    gpu_seconds: float = 0.0
    failure: Failure | None = None

    @property
    def is_spoiled(self) -> bool:
        """Whether it is a confirmation that failed through no fault of its Config."""
        innocent = self.failure is not None and not self.failure.blames_config
        return innocent and self.assignment.phase is Phase.CONFIRM


class Conductor:
    """Hands out Assignments and learns how they went. Not thread-safe; lives on the driver."""

    def __init__(self, rules: Rules, proposer: Proposer, budget: Budget, known: Iterable[KnownTrial] = ()) -> None:
        self._rules = rules
        self._proposer = proposer
        self._budget = budget
        self._followed: dict[str, _Followed] = {}
        self._unfinished: list[Assignment] = []
        self._exhausted = False
        self.stop_reason = ""
        for trial in known:
            self._recall(trial)

    # ── decisions ─────────────────────────────────────────────────────────────────────────────

    def next(self, spent: Spent) -> Assignment | Pause:
        """The next trial to start, given what has been spent; a proposal handed out counts at once."""
        if self._budget.is_spent(spent):
            self._stop("budget: " + self._budget.what_is_spent(spent))
            return Pause.FINISHED if not self.running() else Pause.WAIT
        if not self._search_is_over(spent):
            searched = self._next_searched()
            if searched is not None:
                return searched
        if self._running_in(Phase.BASELINE, Phase.SEARCH):
            return Pause.WAIT
        return self._next_confirmation()

    def must_stop(self, trial_id: str, spent: Spent) -> bool:
        """Whether a running trial must end at its next rung, for a budget's sake."""
        phase = self._followed[trial_id].assignment.phase
        if self._budget.is_spent(spent):
            return True
        return phase is Phase.SEARCH and self._no_time_to_search(spent)

    def running(self) -> list[Assignment]:
        return [f.assignment for f in self._followed.values() if not f.state.is_terminal]

    # ── events ────────────────────────────────────────────────────────────────────────────────

    def rung_ended(self, report: RungReport) -> None:
        """Notes a rung's score; called for recalled rungs too."""
        trial = self._followed[report.trial_id]
        trial.seconds = report.usage.reserved_s
        trial.gpu_seconds = report.usage.reserved_s * report.gpus
        if report.score is not None and report.rung == len(trial.scores):
            trial.scores.append(report.score)

    def trial_ended(self, trial_id: str, state: TrialState, failure: Failure | None) -> None:
        """Closes a trial and tells the searcher. Idempotent."""
        trial = self._followed[trial_id]
        if trial.state.is_terminal:
            return
        trial.state = state
        trial.failure = failure
        if trial.assignment.phase is Phase.SEARCH:
            self._proposer.tell(trial_id, outcome(state, failure, trial.scores, self._rules.objectives))

    def score_of(self, trial_id: str) -> Score | None:
        scores = self._followed[trial_id].scores
        return scores[-1] if scores else None

    def best(self) -> str | None:
        """The id of the best completed trial of baseline and search."""
        completed = {
            trial_id: f.scores[-1]
            for trial_id, f in self._followed.items()
            if f.state is TrialState.COMPLETED and f.assignment.phase is not Phase.CONFIRM and f.scores
        }
        choice = select_best(completed, self._rules.objectives[0], self._rules.select)
        return choice.trial_id if choice else None

    # ── searching ─────────────────────────────────────────────────────────────────────────────

    def _search_is_over(self, spent: Spent) -> bool:
        if self._unfinished:
            return False
        if self._exhausted or self._searched() >= self._rules.trials:
            return True
        return self._no_time_to_search(spent)

    def _no_time_to_search(self, spent: Spent) -> bool:
        if not self._budget.is_spent(spent, keep=self._confirmation_cost()):
            return False
        self._stop("budget: " + self._budget.what_is_spent(spent, keep=self._confirmation_cost()))
        return True

    def _next_searched(self) -> Assignment | Pause | None:
        """``None`` when the space is exhausted."""
        if self._rules.max_running is not None and len(self.running()) >= self._rules.max_running:
            return Pause.WAIT
        if self._unfinished:
            return self._start(self._unfinished.pop(0))
        trial_id = self._unused_id()
        if trial_id == "0000":
            return self._start(Assignment(trial_id, Phase.BASELINE, self._rules.baseline, self._rules.rungs))
        config = self._proposer.propose(trial_id)
        if config is None:
            self._exhausted = True
            self._stop("the space has no further Config")
            return None
        return self._start(Assignment(trial_id, Phase.SEARCH, config, self._rules.rungs))

    def _unused_id(self) -> str:
        """The lowest free number: a driver that was killed may have stored trial 0004 before 0003, or before 0000."""
        used = {*self._followed, *(a.trial_id for a in self._unfinished)}
        return next(name for name in (f"{number:04d}" for number in count()) if name not in used)

    def _searched(self) -> int:
        waiting = sum(a.phase is not Phase.CONFIRM for a in self._unfinished)
        return waiting + sum(f.assignment.phase is not Phase.CONFIRM for f in self._followed.values())

    def _start(self, assignment: Assignment) -> Assignment:
        self._followed[assignment.trial_id] = _Followed(assignment)
        return assignment

    # ── confirming ────────────────────────────────────────────────────────────────────────────

    def _next_confirmation(self) -> Assignment | Pause:
        if self._running_in(Phase.CONFIRM):
            return Pause.WAIT
        for assignment in self._confirmations():
            if assignment.trial_id not in self._followed:
                return self._start(assignment)
        self._stop("all trials done")
        return Pause.FINISHED

    def _confirmations(self) -> list[Assignment]:
        """Best and default in turn; who goes first alternates, so that a drift favours neither."""
        best, default = self.best(), "0000"
        if best is None or best == default or self._followed[default].state is not TrialState.COMPLETED:
            return []
        planned = []
        for round_number in range(1, self._rules.confirm + self._spoiled_rounds() + 1):
            pair = (best, default) if round_number % 2 else (default, best)
            for trial_id in pair:
                config = self._followed[trial_id].assignment.config
                planned.append(Assignment(f"{trial_id}-c{round_number}", Phase.CONFIRM, config, rungs=1))
        return planned

    def _spoiled_rounds(self) -> int:
        """Rounds that say nothing about a Config, for the client's or a node's sake: run again, within bounds."""
        spoiled = {f.assignment.trial_id.rpartition("-c")[2] for f in self._followed.values() if f.is_spoiled}
        return min(len(spoiled), self._rules.confirm)

    def _confirmation_cost(self) -> Spent:
        """What the confirmation rounds are expected to take, from the longest trials so far."""
        completed = [f for f in self._followed.values() if f.state is TrialState.COMPLETED]
        trials = 2 * self._rules.confirm
        return Spent(
            wall_s=trials * max((f.seconds for f in completed), default=0.0),
            gpu_s=trials * max((f.gpu_seconds for f in completed), default=0.0),
        )

    # ── the past ──────────────────────────────────────────────────────────────────────────────

    def _recall(self, trial: KnownTrial) -> None:
        rungs = 1 if trial.phase is Phase.CONFIRM else self._rules.rungs
        assignment = Assignment(trial.trial_id, trial.phase, trial.config, rungs)
        ended = trial.state.is_terminal
        if ended:
            self._followed[trial.trial_id] = _Followed(
                assignment, list(trial.scores), trial.state, trial.seconds, trial.seconds * trial.gpus, trial.failure
            )
        else:
            self._unfinished.append(assignment)
        if trial.phase is Phase.SEARCH:
            told = outcome(trial.state, trial.failure, trial.scores, self._rules.objectives) if ended else None
            self._proposer.replay(trial.trial_id, trial.config, told)

    def _running_in(self, *phases: Phase) -> bool:
        return any(a.phase in phases for a in self.running())

    def _stop(self, reason: str) -> None:
        self.stop_reason = self.stop_reason or reason


def outcome(
    state: TrialState, failure: Failure | None, scores: Sequence[Score], objectives: Sequence[Objective]
) -> Outcome:
    """What the searcher is told of an ended trial."""
    by_rung = {rung: told_value(score.score, objectives[0].direction) for rung, score in enumerate(scores)}
    if failure is not None and not failure.blames_config:
        return Outcome(OutcomeKind.UNKNOWN)
    if state is TrialState.FAILED:
        worst = tuple(told_value(infeasible_score(o.direction), o.direction) for o in objectives)
        return Outcome(OutcomeKind.INFEASIBLE, worst, by_rung)
    if state is TrialState.STOPPED or not scores:
        return Outcome(OutcomeKind.PRUNED, (), by_rung)
    values = tuple(told_value(scores[-1].objectives[o.name], o.direction) for o in objectives)
    kind = OutcomeKind.COMPLETED if scores[-1].feasible else OutcomeKind.INFEASIBLE
    return Outcome(kind, values, by_rung)
