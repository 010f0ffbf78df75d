"""ByFront: a trial scheduler that is shown how trials of several objectives stand to one another."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from autotuner.tuning.decisions.front_ranks import FrontRanks
from autotuner.tuning.on_ray.trainable import MERITS, RESOURCE, SCORE


class ByFront(FIFOScheduler):  # type: ignore[misc]  # Ray has no type stubs
    """In place of the first objective's score ``inner`` is shown ranks: more is better.

    It must hand out trials as they wait, and pause none.
    """

    def __init__(self, inner: TrialScheduler) -> None:
        super().__init__()
        self._inner = inner
        self._ranks = FrontRanks()

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        self._inner.on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        self._inner.on_trial_error(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        return str(self._inner.on_trial_result(tune_controller, trial, self._shown(trial, result)))

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        self._inner.on_trial_complete(tune_controller, trial, self._shown(trial, result))

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        self._inner.on_trial_remove(tune_controller, trial)

    def debug_string(self) -> str:
        return str(self._inner.debug_string())

    def _shown(self, trial: Trial, result: dict[str, Any]) -> dict[str, Any]:
        if MERITS not in result:
            return result
        return {**result, SCORE: self._ranks.rank(trial.trial_id, result[RESOURCE], result[MERITS])}
