"""The incumbent: the best trial so far, as the study would choose it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from autotuner.results.records import TrialState
from autotuner.scoring import Choice, Grade, Score, select_best
from autotuner.tuning.decisions.followed_trial import Followed
from autotuner.tuning.decisions.rules import Rules

Fair = Callable[[Followed], Score]  # a trial's last score, as it is to be compared with others


def as_measured(trial: Followed) -> Score:
    return trial.scores[-1]


def completed_scores(trials: Mapping[str, Followed], fair: Fair = as_measured) -> dict[str, Score]:
    """The last rungs of trials of baseline and search that came to their end."""
    return {
        trial_id: fair(f)
        for trial_id, f in trials.items()
        if f.state is TrialState.COMPLETED and f.assignment.phase.explores and f.scores
    }


def incumbent(trials: Mapping[str, Followed], rules: Rules, fair: Fair = as_measured) -> Choice | None:
    """The best of them, with the load point of it that counts; ``None`` without any."""
    return select_best(completed_scores(trials, fair), rules.objectives[0], rules.select)


def ranks_by_violation(trials: Mapping[str, Followed], rules: Rules) -> bool:
    """Whether trials have come to their end and none of them meets the SLOs."""
    ended = completed_scores(trials).values()
    met = any(score.merit().grade is Grade.MEETING for score in ended)
    return rules.select == "slo_met" and bool(ended) and not met
