"""RunningTrial: a trial of this life of the study, what it reserves and for how long it has had that."""

from __future__ import annotations

from dataclasses import dataclass, field

from autotuner.tuning.decisions.assignment import Assignment, RungReport
from autotuner.tuning.decisions.placement_policy import Need


@dataclass
class RunningTrial:
    """A trial that was handed out and has not been told ended."""

    assignment: Assignment
    need: Need
    since_s: float | None  # that it has held its GPUs without a break; None: it is paused
    held_s: float = 0.0  # before that
    began_s: float = 0.0  # when it was handed out
    used_before_s: float = 0.0  # in earlier lives of the study
    report: RungReport | None = None
    is_stopped: bool = False  # it was told to end, and has not yet
    rungs_seen: set[int] = field(default_factory=set)

    @property
    def gpus(self) -> int:
        return sum(share.gpus for share in self.need.shares)

    def seconds(self, held_s: float) -> tuple[float, float]:
        """GPU- and CPU-seconds of so long."""
        gpus, cpus = self.need.size
        return held_s * gpus, held_s * cpus

    def held_until(self, now_s: float) -> float:
        """Seconds that it has held its GPUs for."""
        return self.held_s + (0.0 if self.since_s is None else now_s - self.since_s)
