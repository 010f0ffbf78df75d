"""Budget: what a study may spend. Pure arithmetic on seconds."""

from __future__ import annotations

from dataclasses import dataclass

from autotuner.study.model import Study

STUDYS_END = "the study's wall clock"  # in the message of a trial that it cut


@dataclass(frozen=True)
class Spent:
    """Seconds of wall clock and GPU-seconds."""

    wall_s: float = 0.0
    gpu_s: float = 0.0


@dataclass(frozen=True)
class Budget:
    """Limits in seconds; ``None`` is no limit. Both lives of a resumed study count for GPU-seconds,
    the wall clock counts each life alone."""

    wall_s: float | None = None
    gpu_s: float | None = None

    @classmethod
    def of(cls, study: Study) -> Budget:
        hours = study.budget
        return cls(
            wall_s=None if hours.wall_clock_h is None else hours.wall_clock_h * 3600,
            gpu_s=None if hours.gpu_hours is None else hours.gpu_hours * 3600,
        )

    def is_spent(self, spent: Spent, keep: Spent | None = None) -> bool:
        """Whether a limit is reached once ``keep`` is set aside."""
        return bool(self.what_is_spent(spent, keep))

    def what_is_spent(self, spent: Spent, keep: Spent | None = None) -> str:
        """The study key of the first limit that is reached, or ``""``."""
        kept = keep or Spent()
        if self.wall_s is not None and spent.wall_s + kept.wall_s >= self.wall_s:
            return "wall_clock_h"
        if self.gpu_s is not None and spent.gpu_s + kept.gpu_s >= self.gpu_s:
            return "gpu_hours"
        return ""
