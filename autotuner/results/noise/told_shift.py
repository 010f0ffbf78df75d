"""ToldShift: how the default came to be faster or slower, as summary, report and terminal tell it."""

from __future__ import annotations

from dataclasses import dataclass

from autotuner.results.finals.ratio import as_ratio
from autotuner.results.noise.drift import Drift
from autotuner.scoring.objective import Objective


@dataclass(frozen=True)
class ToldShift:
    """``trial_id``: of the reference that showed it; ``from_s``, ``to_s``: epoch seconds between which it came;
    ``ratio``: the metric after it over that before; ``ci95``: its interval, of the confidence of the test that proved
    it: at least 95 %."""

    trial_id: str
    node: str
    from_s: float
    to_s: float
    metric: str
    ratio: float
    ci95: tuple[float, float] | None


def told_shifts(drift: Drift, objective: Objective) -> tuple[ToldShift, ...]:
    """In the study's first objective."""
    return tuple(
        ToldShift(
            shift.trial_id,
            shift.node,
            shift.from_s,
            shift.to_s,
            objective.column,
            *as_ratio(shift.changes[0], shift.half_width, objective.direction),
        )
        for shift in drift.shifts
    )
