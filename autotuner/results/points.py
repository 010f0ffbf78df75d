"""TrialPoint: what a study points at by name: its best, its baseline, what came closest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autotuner.metrics.load_level import LoadLevel
from autotuner.metrics.measurement import Measurement
from autotuner.results.records import RungRecord, TrialRecord, TrialState
from autotuner.results.scope import scope_text
from autotuner.scoring.objective import Objective
from autotuner.scoring.score import Score, Violation
from autotuner.scoring.select import Choice, select_best, select_closest
from autotuner.scoring.values import infeasible_score
from autotuner.study.model import Study

Rungs = Mapping[str, Sequence[RungRecord]]


@dataclass(frozen=True)
class TrialPoint:
    """One load point of a trial's last rung.

    ``level`` and ``load_kind`` are ``None`` where the objective averages over all levels. ``scope`` says in words what
    ``value`` and ``score`` are of. ``metrics`` are always those of one load level, named by ``metrics_load_kind`` and
    ``metrics_level``. ``unsure``: columns of SLO terms whose 95 % interval holds their limit.
    """

    trial_id: str
    config: Mapping[str, Any]
    load_kind: str | None
    level: float | None
    metrics: Mapping[str, float]
    value: float | None
    score: float
    feasible: bool
    slo_met: bool
    violations: tuple[Violation, ...] = ()
    reason: str = ""
    scope: str = ""
    metrics_load_kind: str | None = None
    metrics_level: float | None = None
    unsure: tuple[str, ...] = ()


def headline(measurements: Sequence[Measurement], level: LoadLevel | None) -> Measurement | None:
    """The measurement that stands for a rung: that of the level its score was taken from, else the last."""
    named = [m for m in measurements if m.level == level] or measurements
    return named[-1] if named else None


def final_scores(trials: Sequence[TrialRecord], rungs: Rungs) -> dict[str, Score]:
    """Last-rung scores of completed trials, confirmations left out: only these can be best or on the front."""
    return {
        t.trial_id: rungs[t.trial_id][-1].score
        for t in trials
        if t.state is TrialState.COMPLETED and t.phase.explores and rungs.get(t.trial_id)
    }


def ranked_points(
    study: Study, trials: Sequence[TrialRecord], rungs: Rungs, objective: Objective, fair: Mapping[str, Score]
) -> list[TrialPoint]:
    """Every feasible completed trial with its best load point as measured, the study's best first by ``fair``: their
    scores as they are to be compared."""
    chosen = []
    for trial_id, score in final_scores(trials, rungs).items():
        choice = select_best({trial_id: score}, objective, study.search.select)
        compared = select_best({trial_id: fair[trial_id]}, objective, study.search.select)
        if choice is not None and compared is not None:
            chosen.append((compared.merit, choice))
    chosen.sort(key=lambda pair: pair[0], reverse=True)
    return [_point(choice, trials, rungs) for _, choice in chosen]


def closest_point(trials: Sequence[TrialRecord], rungs: Rungs, objective: Objective) -> TrialPoint | None:
    """What came closest to the SLOs."""
    choice = select_closest(final_scores(trials, rungs), objective)
    return None if choice is None else _point(choice, trials, rungs)


def trial_point(study: Study, trial: TrialRecord, rungs: Rungs, objective: Objective) -> TrialPoint:
    """One trial's own best load point, in its last ended rung; infeasible, with the reason, where it has none."""
    ended = rungs.get(trial.trial_id)
    scores = {trial.trial_id: ended[-1].score} if ended and trial.state is not TrialState.FAILED else {}
    choice = select_best(scores, objective, study.search.select) or select_closest(scores, objective)
    if choice is None:
        score = infeasible_score(objective.direction)
        reason = f"{trial.failure}: {trial.message}" if trial.failure else "nothing was measured"
        choice = Choice(trial.trial_id, None, None, score, False, False, reason=reason)
    return _point(choice, [trial], rungs)


def _point(choice: Choice, trials: Sequence[TrialRecord], rungs: Rungs) -> TrialPoint:
    ended = rungs.get(choice.trial_id)
    measurement = headline(ended[-1].measurements, choice.level) if ended else None
    levels = [m.level for m in ended[-1].measurements] if ended else []
    return TrialPoint(
        trial_id=choice.trial_id,
        config=next(t.config for t in trials if t.trial_id == choice.trial_id),
        load_kind=choice.level.kind.value if choice.level else None,
        level=choice.level.value if choice.level else None,
        metrics=dict(measurement.metrics) if measurement else {},
        value=choice.value,
        score=choice.score,
        feasible=choice.feasible,
        slo_met=choice.slo_met,
        violations=choice.violations,
        reason=choice.reason,
        scope=scope_text(choice.level, levels) if levels else "",
        metrics_load_kind=measurement.level.kind.value if measurement else None,
        metrics_level=measurement.level.value if measurement else None,
        unsure=choice.unsure,
    )
