"""What Ray Tune sees as its searcher: the conductor's decisions."""

from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from autotuner.tuning.decisions.pause import Pause
from autotuner.tuning.on_ray.trainable import ASSIGNMENT, REPORT, SCORE
from autotuner.tuning.study_run import StudyRun


class ConductorSearcher(Searcher):  # type: ignore[misc]  # Ray has no type stubs
    """Saves nothing: a resumed study is rebuilt from the store, never from Ray's snapshot."""

    def __init__(self, run: StudyRun, mode: str) -> None:
        super().__init__(metric=SCORE, mode=mode)
        self._run = run

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        decision = self._run.next(trial_id)
        if decision is Pause.WAIT:
            return None
        if decision in (Pause.FINISHED, Pause.NO_PLACE):
            return str(Searcher.FINISHED)
        return {ASSIGNMENT: decision}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if REPORT in result:
            self._run.rung_ended(trial_id, result[REPORT])

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        if result is not None and REPORT in result:
            self._run.rung_ended(trial_id, result[REPORT])
        self._run.trial_ended(trial_id, actor_lost=error)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Ray pickles its searcher to be able to restore it, which is never asked for here

    def save(self, checkpoint_path: str) -> None:
        """Nothing to keep; Ray asks for it with every snapshot."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing was kept."""
