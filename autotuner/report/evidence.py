"""Evidence: the runs that a report's figures of the best and of the default are from, and what they measured.

Where both were confirmed these are the confirmation rounds, which the verdict rests on; else the trials of the search.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from autotuner.metrics.load_level import LoadLevel
from autotuner.report.champion import champion, champion_name
from autotuner.results.improvement import confirmed_rounds
from autotuner.results.points import TrialPoint
from autotuner.results.records import RungRecord, TrialRecord
from autotuner.results.result import StudyResults


@dataclass(frozen=True)
class Evidence:
    """Last rungs of one Config's trials. ``replicas``: servers that shared the load."""

    who: str  # best, closest or default
    trial_id: str
    runs: tuple[RungRecord, ...]
    replicas: int

    def metric(self, level: LoadLevel, column: str) -> float | None:
        """The mean over the runs; ``None`` unless each of them has it."""
        values = [m.metrics.get(column) for run in self.runs for m in run.measurements if m.level == level]
        known = [value for value in values if value is not None]
        return math.fsum(known) / len(known) if known and len(known) == len(self.runs) else None

    def kept(self, level: LoadLevel) -> int:
        """In how many runs every SLO held at this level."""
        return sum(any(p.level == level and p.slo_met for p in run.score.points) for run in self.runs)

    @property
    def levels(self) -> tuple[LoadLevel, ...]:
        found = {m.level for run in self.runs for m in run.measurements}
        return tuple(sorted(found))

    def kept_up_to(self) -> LoadLevel | None:
        """The highest level at which, and at all lower ones, every SLO held in every run."""
        highest = None
        for level in self.levels:
            if self.kept(level) < len(self.runs):
                return highest
            highest = level
        return highest


@dataclass(frozen=True)
class BothEvidence:
    """Of the best (or closest) and of the default, which is ``None`` where it is the same, or has measured nothing.

    ``source`` says in words which runs the figures are from.
    """

    best: Evidence
    default: Evidence | None
    source: str

    @property
    def sides(self) -> tuple[Evidence, ...]:
        return (self.best,) if self.default is None else (self.best, self.default)

    @property
    def levels(self) -> tuple[LoadLevel, ...]:
        return tuple(sorted({level for side in self.sides for level in side.levels}))

    @property
    def rounds(self) -> int:
        return len(self.best.runs)


def find_evidence(results: StudyResults) -> BothEvidence | None:
    """``None`` where the champion has measured nothing."""
    best, default = champion(results), results.baseline
    if best is None:
        return None
    is_best = results.best is not None and best.trial_id == results.best.trial_id
    ids = (best.trial_id, default.trial_id) if default is not None else ()
    pairs = confirmed_rounds(results.trial_records, results.rung_records, *ids) if is_best and ids else []
    if pairs and default is not None:
        both = [_evidence(results, point, [pair[i] for pair in pairs]) for i, point in enumerate((best, default))]
        rounds = f"means of {len(pairs)} confirmation rounds" if len(pairs) > 1 else "the confirmation round"
        return BothEvidence(both[0], both[1], f"{rounds} of trials {best.trial_id} and {default.trial_id}")
    own = _evidence(results, best, _trial(results, best))
    other = None
    if default is not None and default.trial_id != best.trial_id:
        other = _evidence(results, default, _trial(results, default))
    sides = [side for side in (own, other) if side is not None and side.runs]
    if not own.runs:
        return None
    told = " and ".join(f"trial {side.trial_id} ({_rung_text(results, side)})" for side in sides)
    return BothEvidence(own, other if other is not None and other.runs else None, f"the search: {told}")


def _rung_text(results: StudyResults, side: Evidence) -> str:
    number, last = side.runs[-1].rung, results.study.fidelity.rungs - 1
    return "last rung" if number == last else f"rung {number} of 0 to {last}"


def _evidence(results: StudyResults, point: TrialPoint, trials: list[TrialRecord]) -> Evidence:
    is_default = results.baseline is not None and point.trial_id == results.baseline.trial_id
    runs = [results.rung_records[t.trial_id][-1] for t in trials if results.rung_records.get(t.trial_id)]
    name = "default" if is_default and point is results.baseline else champion_name(results)
    return Evidence(name, point.trial_id, tuple(runs), max((t.replicas for t in trials), default=1))


def _trial(results: StudyResults, point: TrialPoint) -> list[TrialRecord]:
    return [trial for trial in results.trial_records if trial.trial_id == point.trial_id]
