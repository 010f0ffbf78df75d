"""What a searcher is told of an ended trial. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autotuner.errors import Failure
from autotuner.results.records import TrialState
from autotuner.scoring import Grade, Merit, Objective, Score, Select, told_value
from autotuner.tuning.decisions.shown_levels import shown_levels
from autotuner.tuning.proposers import Outcome, OutcomeKind


def outcome(
    state: TrialState,
    failure: Failure | None,
    scores: Sequence[Score],
    objectives: Sequence[Objective],
    gpu_s: float = 0.0,
    select: Select = "slo_met",
    *,
    start_gpu_s: float = 0.0,
    in_full: bool = False,
) -> Outcome:
    """``gpu_s``: GPU-seconds that the trial reserved, ``start_gpu_s`` until its servers answered.

    ``in_full``: each rung measured its levels with all requests.
    """
    first = objectives[0]
    by_rung = {rung: told_value(score.merit(first.name), first.direction) for rung, score in enumerate(scores)}
    if failure is not None and not failure.blames_config:
        return Outcome(OutcomeKind.UNKNOWN)
    if state is TrialState.FAILED:
        return refused(objectives, by_rung)
    shown = {rung: shown_levels(score, first, select, in_full=in_full) for rung, score in enumerate(scores)}
    if state is TrialState.STOPPED or not scores:
        told = Outcome(OutcomeKind.PRUNED, (), by_rung)
    else:
        merits = [scores[-1].merit(o.name) for o in objectives]
        told = replace(_told(merits, objectives, by_rung), gpu_s=gpu_s)
    return replace(told, start_gpu_s=start_gpu_s, shown=shown, all_by_rung=_all_by_rung(scores, objectives))


def _all_by_rung(scores: Sequence[Score], objectives: Sequence[Objective]) -> dict[int, tuple[float, ...]]:
    if len(objectives) == 1:
        return {}
    return {
        rung: tuple(told_value(score.merit(o.name), o.direction) for o in objectives)
        for rung, score in enumerate(scores)
    }


def refused(objectives: Sequence[Objective], by_rung: dict[int, float] | None = None) -> Outcome:
    """Infeasible, with finite values worse than any that was measured."""
    return _told([Merit() for _ in objectives], objectives, by_rung or {})


def _told(merits: Sequence[Merit], objectives: Sequence[Objective], by_rung: dict[int, float]) -> Outcome:
    values = tuple(told_value(merit, o.direction) for merit, o in zip(merits, objectives, strict=True))
    infeasibility = merits[0].infeasibility
    kind = OutcomeKind.INFEASIBLE if infeasibility else OutcomeKind.COMPLETED
    return Outcome(kind, values, by_rung, infeasibility, meets_slos=merits[0].grade is Grade.MEETING)
