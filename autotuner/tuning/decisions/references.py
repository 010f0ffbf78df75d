"""When the default is measured again while the search goes on, and what that shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from autotuner.results.noise.default_runs import ScoredRun, default_runs, host_of
from autotuner.results.noise.drift import MOST_TIMES, DefaultRun, Drift, find_drift, is_settled, steady_before
from autotuner.results.noise.references import most_references, reference_id, reference_level, reference_of
from autotuner.results.noise.told_shift import ToldShift, told_shifts
from autotuner.results.records import Phase, TrialState
from autotuner.scoring import Score
from autotuner.scoring.max_load import FOUND
from autotuner.scoring.shifted import without_shift
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.confirmation import default_to_confirm
from autotuner.tuning.decisions.followed_trial import Followed
from autotuner.tuning.decisions.foresight import Foresight
from autotuner.tuning.decisions.rules import Rules
from autotuner.tuning.proposers import Outcome


class References:
    """By what is known of the study's ``trials`` when it is asked, so that a study which died goes on where it was."""

    def __init__(self, trials: Mapping[str, Followed], rules: Rules) -> None:
        self._trials = trials
        self._rules = rules
        self._most = most_references(rules.trials, rules.reference_every)
        self._drift = Drift()  # as it was when it was looked for last

    def due(self, waiting: Iterable[Assignment]) -> Assignment | None:
        """The reference to start while the search goes on; ``None``: none now. One at a time, ``waiting`` ones too.

        One is due each time that ``reference_every`` explored trials have ended, and where it is off what the default
        showed before, once more.
        """
        every, default = self._rules.reference_every, default_to_confirm(self._trials.values())
        if every is None or default is None or not self._can_be_repeated(default):
            return None
        known = [f for f in self._trials.values() if f.assignment.phase is Phase.REFERENCE]
        if any(not f.state.is_terminal for f in known) or any(a.phase is Phase.REFERENCE for a in waiting):
            return None
        trial_id = default.assignment.trial_id
        last = max(known, key=lambda f: reference_of(f.assignment.trial_id)[1:], default=None)
        number, time = (0, 0) if last is None else reference_of(last.assignment.trial_id)[1:]
        if last is not None and time < MOST_TIMES and not self._is_settled(last, number):
            return Assignment(reference_id(trial_id, number, time + 1), Phase.REFERENCE, default.assignment.config, 1)
        ended = sum(f.state.is_terminal and f.assignment.phase.explores for f in self._trials.values())
        if ended // every <= number:
            return None
        return Assignment(reference_id(trial_id, ended // every), Phase.REFERENCE, default.assignment.config, 1)

    def begin(self, assignment: Assignment) -> Assignment:
        """A reference that starts, with the one load level that it measures."""
        if assignment.phase is not Phase.REFERENCE:
            return assignment
        default = self._trials[reference_of(assignment.trial_id)[0]]
        begun_with = default.assignment.probe if self._rules.levels else None
        return replace(assignment, only=reference_level(default.scores[-1], self._rules.objectives[0], begun_with))

    def drift(self) -> Drift:
        """What the default's runs show so far."""
        return find_drift(self._runs(), self._most)

    def shifts(self) -> tuple[ToldShift, ...]:
        """When the default came to be faster or slower, as far as that is proven."""
        return told_shifts(self.drift(), self._rules.objectives[0])

    # ── what is made of it ────────────────────────────────────────────────────────────────────

    def look(self) -> bool:
        """Looks for drift in what has ended by now; returns whether there is a shift that there was not before."""
        before = len(self._drift.shifts)
        self._drift = self.drift()
        return len(self._drift.shifts) > before

    def fair(self, trial: Followed) -> Score:
        """Its last score, as it would be, had the machine stayed as it was at first."""
        return self._without_shift(trial, trial.scores[-1])

    def outcome(self, trial: Followed) -> Outcome:
        """What the searcher is told of a trial that has ended, as if the machine had stayed as it was."""
        return replace(trial, scores=[self._without_shift(trial, score) for score in trial.scores]).outcome(self._rules)

    def tell(self, trial: Followed, foresight: Foresight) -> None:
        """A trial has ended: the searcher is told of it, or anew of all that it shows to have been shifted."""
        if trial.assignment.phase.explores:
            foresight.tell(trial.assignment.trial_id, self.outcome(trial))
        elif trial.assignment.phase is Phase.REFERENCE and self.look():
            for trial_id, other in self._trials.items():
                if other.assignment.phase.explores and other.state.is_terminal and any(self._offsets(other)):
                    foresight.amend(trial_id, self.outcome(other))

    def _without_shift(self, trial: Followed, score: Score) -> Score:
        return without_shift(score, self._offsets(trial), self._rules.objectives, self._rules.select)

    def _offsets(self, trial: Followed) -> tuple[float, ...]:
        return self._drift.offsets(host_of(trial.node), trial.ended_s)

    # ── what is known ─────────────────────────────────────────────────────────────────────────

    def _can_be_repeated(self, default: Followed) -> bool:
        if default.state is not TrialState.COMPLETED or not default.scores:
            return False
        objective = self._rules.objectives[0]
        return objective.column in FOUND or reference_level(default.scores[-1], objective, None) is not None

    def _is_settled(self, last: Followed, number: int) -> bool:
        """Whether a reference whose last run this is needs no further one; a run that tells nothing asks for none."""
        if not _tells(last):
            return True
        mine, runs = _scored(last), self._runs()
        goods = [r.good for r in runs if r.number == number and r.node == mine.host and r.good is not None]
        return is_settled(steady_before(runs, number, mine.host, self._most), goods)

    def _runs(self) -> list[DefaultRun]:
        default = default_to_confirm(self._trials.values())
        known = [f for f in self._trials.values() if f.assignment.phase is Phase.REFERENCE and _tells(f)]
        own = None if default is None or not _tells(default) else _scored(default)
        return default_runs(own, [_scored(f) for f in known], self._rules.objectives)


def _tells(trial: Followed) -> bool:
    """Whether it came to its end, and nobody else had a part in that."""
    return trial.state is TrialState.COMPLETED and bool(trial.scores) and not trial.is_disturbed


def _scored(trial: Followed) -> ScoredRun:
    return ScoredRun(trial.assignment.trial_id, trial.scores[-1], trial.ended_s, trial.node)
