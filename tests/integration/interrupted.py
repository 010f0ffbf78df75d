"""A study that is interrupted when so much of it has ended."""

from __future__ import annotations

from autotuner.tuning.events import Event, TrialEnded


class InterruptAfter:
    """An observer that interrupts the study when so many trials have ended."""

    def __init__(self, trials: int) -> None:
        self.left = trials

    def on_event(self, event: Event) -> None:
        if isinstance(event, TrialEnded):
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt

    def close(self) -> None:
        pass
