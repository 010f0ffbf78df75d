"""Ray's HyperBand, with two of its ways mended."""

from __future__ import annotations

from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import HyperBandScheduler


class HyperBand(HyperBandScheduler):  # type: ignore[misc]  # Ray has no type stubs
    """Ends a trial that is being paused when it has been, and waits for none that has failed.

    A halving ends other trials than the one that reports, some of them on their way to their pause: Ray would tell of
    their end while their servers still run. And it marks a bracket at its first halving as being processed and never
    takes that back: when a later halving waited for one trial, and that failed, the others stayed paused for ever.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._after_save: list[Trial] = []

    def end(self, tune_controller: Any, trial: Trial) -> None:
        """Ends a trial of a bracket that is being halved, at once or when it has been saved."""
        if trial.is_saving:
            self.on_trial_remove(tune_controller, trial)
            self._after_save.append(trial)
        else:
            tune_controller.stop_trial(trial)

    def end_saved(self, tune_controller: Any) -> None:
        """Ends those that have been saved meanwhile."""
        for trial in [trial for trial in self._after_save if not trial.is_saving]:
            self._after_save.remove(trial)
            tune_controller.stop_trial(trial)

    def _process_bracket(self, tune_controller: Any, bracket: Any) -> str:
        try:
            return str(super()._process_bracket(_PatientController(tune_controller, self), bracket))
        finally:
            bracket.is_being_processed = False


class _PatientController:
    """Ray Tune's controller, as far as the halving of a bracket calls it."""

    def __init__(self, tune_controller: Any, hyperband: HyperBand) -> None:
        self._tune_controller = tune_controller
        self._hyperband = hyperband

    def stop_trial(self, trial: Trial) -> None:
        self._hyperband.end(self._tune_controller, trial)
