"""Confirmation: rounds in which the best and the default are measured afresh, in turn. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from autotuner.results.default_trial import compared_default
from autotuner.results.records import Phase, TrialState
from autotuner.scoring import select_best
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.budget import Spent
from autotuner.tuning.decisions.followed_trial import Followed
from autotuner.tuning.decisions.rules import Rules


class Confirmation:
    """What is to be measured afresh, by what is known of the study's ``trials`` when it is asked."""

    def __init__(self, trials: Mapping[str, Followed], rules: Rules) -> None:
        self._trials = trials
        self._rules = rules

    def best(self) -> str | None:
        """The id of the best completed trial of baseline and search."""
        completed = {
            trial_id: f.scores[-1]
            for trial_id, f in self._trials.items()
            if f.state is TrialState.COMPLETED and f.assignment.phase.explores and f.scores
        }
        choice = select_best(completed, self._rules.objectives[0], self._rules.select)
        return choice.trial_id if choice else None

    def next(self) -> Assignment | None:
        """The confirmation to start when no other trial runs or waits; ``None`` once all was confirmed."""
        planned = plan_confirmations(self._trials.values(), self.best(), self._rules.confirm)
        return next((assignment for assignment in planned if assignment.trial_id not in self._trials), None)

    def cost(self) -> Spent:
        """For what the budget keeps room."""
        return confirmation_cost(self._trials.values(), self._rules.confirm)


def confirmations(best: Assignment, default: Assignment, rounds: int) -> list[Assignment]:
    """Who goes first alternates, so that a drift favours neither."""
    planned = []
    for number in range(1, rounds + 1):
        for trial in (best, default) if number % 2 else (default, best):
            planned.append(Assignment(f"{trial.trial_id}-c{number}", Phase.CONFIRM, trial.config, rungs=1))
    return planned


def plan_confirmations(trials: Collection[Followed], best: str | None, rounds: int) -> list[Assignment]:
    """Every confirmation of the study, of which some may have ended; none without a best that beats the default.

    A default that its own fault kept from its end is not measured again.
    """
    defaults = [trial for trial in trials if trial.assignment.phase is Phase.BASELINE]
    default = compared_default(sorted(defaults, key=lambda trial: trial.assignment.trial_id))
    if best is None or default is None or default.is_at_fault or default.assignment.trial_id == best:
        return []
    chosen = next(trial for trial in trials if trial.assignment.trial_id == best)
    return confirmations(chosen.assignment, default.assignment, rounds + _spoiled_rounds(trials, rounds))


def confirmation_cost(trials: Collection[Followed], rounds: int) -> Spent:
    """What so many rounds are expected to take, from the longest trials so far."""
    completed = [trial for trial in trials if trial.state is TrialState.COMPLETED]
    return Spent(
        wall_s=2 * rounds * max((trial.seconds for trial in completed), default=0.0),
        gpu_s=2 * rounds * max((trial.gpu_seconds for trial in completed), default=0.0),
    )


def _spoiled_rounds(trials: Collection[Followed], rounds: int) -> int:
    """Rounds that say nothing about a Config, for the client's or a node's sake: run again, within bounds."""
    spoiled = {trial.assignment.trial_id.split("-c")[1] for trial in trials if trial.is_spoiled}
    return min(len(spoiled), rounds)
