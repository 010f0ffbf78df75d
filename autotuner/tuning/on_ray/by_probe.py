"""ByProbe: a trial scheduler for each load level that trials begin with, so that like is compared with like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from autotuner.metrics.load_level import LoadLevel
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.on_ray.trainable import ASSIGNMENT


class ByProbe(FIFOScheduler):  # type: ignore[misc]  # Ray has no type stubs
    """What a rung shows at one level says nothing of what another trial's should show at another one.

    ``make`` makes one scheduler; it must hand out trials as they wait, and pause none.
    """

    def __init__(self, make: Callable[[], TrialScheduler]) -> None:
        super().__init__()
        self._make = make
        self._inner: dict[LoadLevel | None, TrialScheduler] = {}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        self._of(trial).on_trial_error(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        return str(self._of(trial).on_trial_result(tune_controller, trial, result))

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        self._of(trial).on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        self._of(trial).on_trial_remove(tune_controller, trial)

    def debug_string(self) -> str:
        told = [f"from {level}: {inner.debug_string()}" for level, inner in self._inner.items()]
        return "\n".join(told) or "no trial yet"

    def _of(self, trial: Trial) -> TrialScheduler:
        assignment: Assignment = trial.config[ASSIGNMENT]
        if assignment.probe not in self._inner:
            self._inner[assignment.probe] = self._make()
        return self._inner[assignment.probe]
