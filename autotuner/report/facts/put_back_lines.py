"""Which trials are another one with settings put back to the default, in words."""

from __future__ import annotations

from collections.abc import Iterator

from autotuner.results.records import TrialState
from autotuner.results.result import StudyResults
from autotuner.results.worth import PutBackTrial


def put_back_lines(results: StudyResults) -> Iterator[str]:
    """``Trial 0031 is trial 0014 with enable-prefix-caching put back to the default, and no worse beyond noise.``"""
    for trial in results.put_back:
        settings = ", ".join(trial.settings)
        yield f"Trial {trial.trial_id} is trial {trial.of} with {settings} put back to the default{_outcome(trial)}."


def _outcome(trial: PutBackTrial) -> str:
    if trial.chosen:
        return ", and no worse beyond noise"
    return "" if trial.state is TrialState.RUNNING else "; it was not chosen"
