"""What a searcher is told of an ended trial. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from autotuner.errors import Failure
from autotuner.results.records import TrialState
from autotuner.scoring import Objective, Score, infeasible_score, told_value
from autotuner.tuning.proposers import Outcome, OutcomeKind


def outcome(
    state: TrialState, failure: Failure | None, scores: Sequence[Score], objectives: Sequence[Objective]
) -> Outcome:
    by_rung = {rung: told_value(score.score, objectives[0].direction) for rung, score in enumerate(scores)}
    if failure is not None and not failure.blames_config:
        return Outcome(OutcomeKind.UNKNOWN)
    if state is TrialState.FAILED:
        return refused(objectives, by_rung)
    if state is TrialState.STOPPED or not scores:
        return Outcome(OutcomeKind.PRUNED, (), by_rung)
    values = tuple(told_value(scores[-1].objectives[o.name], o.direction) for o in objectives)
    kind = OutcomeKind.COMPLETED if scores[-1].feasible else OutcomeKind.INFEASIBLE
    return Outcome(kind, values, by_rung)


def refused(objectives: Sequence[Objective], by_rung: dict[int, float] | None = None) -> Outcome:
    """Infeasible, with finite values worse than any feasible one."""
    worst = tuple(told_value(infeasible_score(o.direction), o.direction) for o in objectives)
    return Outcome(OutcomeKind.INFEASIBLE, worst, by_rung or {})
