"""Which load points others had a part in, as summary, report and terminal tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from autotuner.results.records import RungRecord, TrialRecord


@dataclass(frozen=True)
class DisturbedPoint:
    """A load point of a trial's last rung. ``reason``: what others did meanwhile."""

    trial_id: str
    load_kind: str
    level: float
    reason: str


@dataclass(frozen=True)
class Disturbed:
    """``points`` of ``measured``; ``trials``: those whose score rests on one, of which the searcher was not told."""

    points: tuple[DisturbedPoint, ...]
    measured: int
    trials: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "measured": self.measured,
            "load_points": len(self.points),
            "trials": list(self.trials),
            "points": [asdict(point) for point in self.points],
        }


def find_disturbed(trials: Sequence[TrialRecord], rungs: Mapping[str, Sequence[RungRecord]]) -> Disturbed:
    """Over the last ended rungs of all trials, confirmations included."""
    last = [ended[-1] for trial in trials if (ended := rungs.get(trial.trial_id))]
    points = tuple(
        DisturbedPoint(rung.trial_id, m.level.kind.value, m.level.value, m.disturbed)
        for rung in last
        for m in rung.measurements
        if m.disturbed
    )
    resting = tuple(rung.trial_id for rung in last if rung.disturbed)
    return Disturbed(points, sum(len(rung.measurements) for rung in last), resting)
