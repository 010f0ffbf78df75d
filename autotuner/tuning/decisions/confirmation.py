"""Confirmation: rounds in which finalists and the default are measured afresh, in turn. Pure.

What is to be measured next follows from what is known, so that a study which died goes on where it was. Under the
earlier rule (``search.finalists: null``) the best alone is measured beside the default, in every round.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from autotuner.results.default_trial import compared_default
from autotuner.results.finals import Finals, FinalsRules, confirmation_id, make_finals, next_run, round_of
from autotuner.results.records import Phase, TrialState
from autotuner.scoring import Score
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.budget import Spent
from autotuner.tuning.decisions.followed_trial import Followed
from autotuner.tuning.decisions.incumbent import Fair, as_measured, completed_scores, incumbent
from autotuner.tuning.decisions.rules import Rules


class Confirmation:
    """What is to be measured afresh, by what is known of the study's ``trials`` when it is asked."""

    def __init__(self, trials: Mapping[str, Followed], rules: Rules, fair: Fair = as_measured) -> None:
        self._trials = trials
        self._rules = rules
        self._fair = fair

    def best(self) -> str | None:
        """The id of the best completed trial of baseline and search."""
        choice = incumbent(self._trials, self._rules, self._fair)
        return choice.trial_id if choice else None

    def next(self) -> Assignment | None:
        """The confirmation to start when no other trial runs or waits; ``None`` once all is decided."""
        if self._rules.finalists is None:
            planned = plan_confirmations(self._trials.values(), self.best(), self._rules.confirm)
            return next((assignment for assignment in planned if assignment.trial_id not in self._trials), None)
        return self._next_of_finals(self._rules.finalists)

    def cost(self) -> Spent:
        """For what the budget keeps room: every round of two, which may be fewer of more."""
        return confirmation_cost(self._trials.values(), self._rules.confirm)

    def winner(self) -> tuple[Assignment, Assignment] | None:
        """The finalist that is chosen (before there is any, the best) and the default; ``None`` without either, and
        where it is the same."""
        finals = None if self._rules.finalists is None else self._finals(self._rules.finalists)
        best = (None if finals is None else finals.chosen) or self.best()
        default = default_to_confirm(self._trials.values())
        if best is None or default is None or default.assignment.trial_id == best:
            return None
        return self._trials[best].assignment, default.assignment

    def _finals(self, finalists: int) -> Finals | None:
        default = default_to_confirm(self._trials.values())
        if default is None:
            return None
        explored = {name: f for name, f in self._trials.items() if f.assignment.phase.explores}
        return make_finals(
            completed_scores(self._trials, self._fair),
            {name: score for name, f in self._confirmed() if (score := _told(f)) is not None or f.is_at_fault},
            default.assignment.trial_id,
            {name: f.assignment.config.values for name, f in explored.items()},
            FinalsRules(
                self._rules.objectives[0],
                self._rules.select,
                self._rules.confirm,
                finalists,
                self._rules.word,
                self._rules.put_back,
            ),
        )

    def _next_of_finals(self, finalists: int) -> Assignment | None:
        finals = self._finals(finalists) if self._rules.confirm else None
        begun = [round_of(name) for name, _ in self._confirmed()]
        spoiled = [round_of(name) for name, f in self._confirmed() if f.is_spoiled]
        run = None if finals is None else next_run(finals, begun, spoiled)
        if run is None:
            return None
        trial_id, number = run
        return _afresh(self._trials[trial_id].assignment, number)

    def _confirmed(self) -> list[tuple[str, Followed]]:
        return [(name, f) for name, f in self._trials.items() if f.assignment.phase is Phase.CONFIRM]


def _told(trial: Followed) -> Score | None:
    return trial.scores[-1] if trial.state is TrialState.COMPLETED and trial.scores else None


def _afresh(trial: Assignment, number: int) -> Assignment:
    return Assignment(confirmation_id(trial.trial_id, number), Phase.CONFIRM, trial.config, rungs=1)


def confirmations(best: Assignment, default: Assignment, rounds: int) -> list[Assignment]:
    """Who goes first alternates, so that a drift favours neither."""
    return [
        _afresh(trial, number)
        for number in range(1, rounds + 1)
        for trial in ((best, default) if number % 2 else (default, best))
    ]


def default_to_confirm(trials: Collection[Followed]) -> Followed | None:
    """The default that others are compared with; ``None`` where its own fault kept it from its end."""
    defaults = [trial for trial in trials if trial.assignment.phase is Phase.BASELINE]
    default = compared_default(sorted(defaults, key=lambda trial: trial.assignment.trial_id))
    return None if default is None or default.is_at_fault else default


def plan_confirmations(trials: Collection[Followed], best: str | None, rounds: int) -> list[Assignment]:
    """By the earlier rule: every confirmation of the study, of which some may have ended; none without a best that
    beats the default."""
    default = default_to_confirm(trials)
    if best is None or default is None or default.assignment.trial_id == best:
        return []
    chosen = next(trial for trial in trials if trial.assignment.trial_id == best)
    return confirmations(chosen.assignment, default.assignment, rounds + _spoiled_rounds(trials, rounds))


def confirmation_cost(trials: Collection[Followed], rounds: int) -> Spent:
    """What so many rounds of two are expected to take, from the longest trials so far."""
    completed = [trial for trial in trials if trial.state is TrialState.COMPLETED]
    return Spent(
        wall_s=2 * rounds * max((trial.seconds for trial in completed), default=0.0),
        gpu_s=2 * rounds * max((trial.gpu_seconds for trial in completed), default=0.0),
    )


def _spoiled_rounds(trials: Collection[Followed], rounds: int) -> int:
    """Rounds that say nothing about a Config, for the client's or a node's sake: run again, within bounds."""
    spoiled = {round_of(trial.assignment.trial_id)[1] for trial in trials if trial.is_spoiled}
    return min(len(spoiled), rounds)
