"""VirtualClock: time that passes when it is told to."""

from __future__ import annotations


class VirtualClock:
    """Stands at ``epoch_s`` seconds since the epoch until ``sleep`` or ``advance_to``."""

    def __init__(self, epoch_s: float) -> None:
        self._now_s = epoch_s

    def epoch_s(self) -> float:
        return self._now_s

    def monotonic_s(self) -> float:
        return self._now_s

    def sleep(self, seconds: float) -> None:
        self._now_s += seconds

    def advance_to(self, epoch_s: float) -> None:
        """Time never goes back: an earlier one is passed over."""
        self._now_s = max(self._now_s, epoch_s)
