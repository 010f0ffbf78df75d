"""The incumbent: the best trial so far, as the study would choose it. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from autotuner.results.records import TrialState
from autotuner.scoring import Choice, Grade, Score, select_best
from autotuner.tuning.decisions.followed_trial import Followed
from autotuner.tuning.decisions.rules import Rules


def completed_scores(trials: Mapping[str, Followed]) -> dict[str, Score]:
    """The last rungs of trials of baseline and search that came to their end."""
    return {
        trial_id: f.scores[-1]
        for trial_id, f in trials.items()
        if f.state is TrialState.COMPLETED and f.assignment.phase.explores and f.scores
    }


def incumbent(trials: Mapping[str, Followed], rules: Rules) -> Choice | None:
    """The best of them, with the load point of it that counts; ``None`` without any."""
    return select_best(completed_scores(trials), rules.objectives[0], rules.select)


def ranks_by_violation(trials: Mapping[str, Followed], rules: Rules) -> bool:
    """Whether trials have come to their end and none of them meets the SLOs."""
    ended = [f for f in trials.values() if f.assignment.phase.explores and f.state is TrialState.COMPLETED]
    met = any(f.scores and f.scores[-1].merit().grade is Grade.MEETING for f in ended)
    return rules.select == "slo_met" and bool(ended) and not met
