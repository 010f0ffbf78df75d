"""Where a study's time went, and what was left out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autotuner.report.facts.spending import resource
from autotuner.report.text import duration
from autotuner.results.records import TrialRecord
from autotuner.results.result import StudyResults
from autotuner.results.uses import Use, seconds_by_use, spent_by_use


@dataclass(frozen=True)
class TimeSpent:
    """Seconds of one trial by their use; they add up to what it held its place for."""

    trial_id: str
    seconds: Mapping[Use, float]


@dataclass(frozen=True)
class TimePart:
    """One use of all time that was held, in GPU- or core-seconds, and its ``share`` of 1."""

    name: str
    label: str
    seconds: float
    share: float
    text: str


LABELS: Mapping[Use, str] = {
    Use.STARTING: "start-up",
    Use.WARMING_UP: "warm-up",
    Use.MEASURING: "measuring",
    Use.REFERENCE: "the default again",
    Use.CONFIRMING: "confirming",
    Use.FAILED: "failed trials",
    Use.IDLE: "idle: reserved, none of these",
}


def time_spent(trials: Sequence[TrialRecord]) -> tuple[TimeSpent, ...]:
    return tuple(TimeSpent(t.trial_id, seconds_by_use(t)) for t in sorted(trials, key=lambda t: t.trial_id))


def time_parts(results: StudyResults) -> tuple[TimePart, ...]:
    """GPU time by its use, CPU core time where no trial reserved a GPU."""
    unit = "gpus" if results.account.gpu_s else "cpus"
    spent = spent_by_use(results.all_records, unit)
    total = sum(spent.values())
    if total <= 0:
        return ()
    return tuple(TimePart(use.value, LABELS[use], s, s / total, duration(s)) for use, s in spent.items())


def savings_lines(results: StudyResults) -> tuple[str, ...]:
    """What each lever saved, in a sentence that says what that is estimated from."""
    name, _ = resource(results.account)
    held = "gpu_seconds" if results.account.gpu_s else "cpu_seconds"
    return tuple(
        f"{saving.count} {saving.what}: about {duration(getattr(saving, held))} of {name} saved, estimated from "
        f"{saving.estimated_from}."
        for saving in results.savings
    )
