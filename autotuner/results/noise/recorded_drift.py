"""The drift of a study as its records have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from autotuner.results.default_trial import compared_default
from autotuner.results.noise.default_runs import ScoredRun, default_runs, host_of
from autotuner.results.noise.drift import Drift, find_drift
from autotuner.results.noise.references import most_references, reference_every
from autotuner.results.points import Rungs
from autotuner.results.records import Phase, TrialRecord, TrialState
from autotuner.scoring.objective import parse_objectives
from autotuner.scoring.score import Score
from autotuner.scoring.shifted import without_shift
from autotuner.study.model import Study


def recorded_drift(study: Study, trials: Sequence[TrialRecord], rungs: Rungs) -> Drift:
    """Of the default that others are compared with, and of its references; none without a reference."""
    default = compared_default([t for t in trials if t.phase is Phase.BASELINE])
    references = [run for t in trials if t.phase is Phase.REFERENCE and (run := _scored(t, rungs)) is not None]
    own = None if default is None else _scored(default, rungs)
    runs = default_runs(own, references, parse_objectives(study.objectives))
    return find_drift(runs, most_references(study.search.trials, reference_every(study)))


def fair_scores(
    scores: Mapping[str, Score], study: Study, trials: Sequence[TrialRecord], rungs: Rungs, drift: Drift
) -> dict[str, Score]:
    """``scores`` of last rungs, by trial, as they would be, had the machine stayed as it was at first."""
    nodes, objectives = {t.trial_id: host_of(t.node) for t in trials}, parse_objectives(study.objectives)
    return {
        trial_id: without_shift(
            score, drift.offsets(nodes[trial_id], rungs[trial_id][-1].ended_at), objectives, study.search.select
        )
        for trial_id, score in scores.items()
    }


def _scored(trial: TrialRecord, rungs: Rungs) -> ScoredRun | None:
    """``None`` where it came to no end, or others had a part in it."""
    ended = rungs.get(trial.trial_id)
    if trial.state is not TrialState.COMPLETED or not ended or ended[-1].disturbed:
        return None
    return ScoredRun(trial.trial_id, ended[-1].score, ended[-1].ended_at, trial.node)
