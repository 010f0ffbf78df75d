"""Evidence: the runs that a report's figures of the best and of the default are from, and what they measured.

Where both were confirmed these are the confirmation rounds, which the verdict rests on; else the trials of the search.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autotuner.benchmark import rungs_of
from autotuner.errors import Failure
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.report.facts.champion import champion, champion_name
from autotuner.results.improvement import confirmed_rounds
from autotuner.results.points import TrialPoint
from autotuner.results.records import RungRecord, TrialRecord, TrialState
from autotuner.results.result import StudyResults
from autotuner.scoring.score import PointScore


@dataclass(frozen=True)
class Gap:
    """A load level without a measurement in the run of a trial, and why."""

    trial_id: str
    level: LoadLevel
    failure: Failure
    message: str

    @property
    def is_own_fault(self) -> bool:
        return self.failure.blames_config


@dataclass(frozen=True)
class Evidence:
    """Last rungs of one Config's trials. ``replicas``: servers that shared the load.

    ``gaps``: why load levels have no measurement in one of them. A Config's own failure tells that its SLOs are not
    kept there; what was spoiled by the client or a node tells nothing.
    """

    who: str  # best, closest or default
    trial_id: str
    runs: tuple[RungRecord, ...]
    replicas: int
    gaps: tuple[Gap, ...] = ()

    def values(self, level: LoadLevel, column: str) -> tuple[float, ...]:
        """One of each run that has it."""
        found = [m.metrics.get(column) for run in self.runs for m in run.measurements if m.level == level]
        return tuple(value for value in found if value is not None)

    def metric(self, level: LoadLevel, column: str) -> float | None:
        """The mean over the runs that have it."""
        values = self.values(level, column)
        return math.fsum(values) / len(values) if values else None

    def kept(self, level: LoadLevel) -> int:
        """In how many runs every SLO held at this level."""
        return sum(point.slo_met for point in self.points(level))

    def points(self, level: LoadLevel) -> tuple[PointScore, ...]:
        """One of each run that has measured the level: of several objectives one that has a value, if any has."""
        found = ([p for p in run.score.points if p.level == level] for run in self.runs)
        return tuple(max(points, key=lambda p: p.slo_met) for points in found if points)

    def unsure(self, level: LoadLevel, column: str) -> int:
        """In how many runs an SLO on this metric may hold or not: its 95 % interval holds the limit."""
        return sum(column in point.unsure for point in self.points(level))

    def measured(self, level: LoadLevel) -> int:
        return sum(any(m.level == level for m in run.measurements) for run in self.runs)

    def judged(self, level: LoadLevel) -> int:
        """In how many runs it is known whether the SLOs held at this level."""
        return self.measured(level) + sum(gap.is_own_fault and gap.level == level for gap in self.gaps)

    @property
    def levels(self) -> tuple[LoadLevel, ...]:
        """What was measured in any run."""
        return tuple(sorted({m.level for run in self.runs for m in run.measurements}))

    @property
    def judged_levels(self) -> tuple[LoadLevel, ...]:
        return tuple(sorted({*self.levels, *(gap.level for gap in self.gaps if gap.is_own_fault)}))

    def kept_up_to(self) -> LoadLevel | None:
        """The highest level at which, and at all lower ones that are judged, every SLO held in every judged run."""
        highest = None
        for level in self.judged_levels:
            if self.kept(level) < self.judged(level):
                return highest
            highest = level
        return highest

    def skipped(self, others: Iterable[LoadLevel]) -> tuple[LoadLevel, ...]:
        """Levels below ``kept_up_to`` that are not judged: of ``others``, or spoiled here."""
        highest = self.kept_up_to()
        known = {*others, *(gap.level for gap in self.gaps)}
        return () if highest is None else tuple(sorted(lv for lv in known if lv < highest and not self.judged(lv)))


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
    trial = next(t for t in results.trial_records if t.trial_id == side.runs[-1].trial_id)
    if trial.state is TrialState.COMPLETED:
        return "last rung"
    return f"rung {side.runs[-1].rung} of 0 to {rungs_of(results.study) - 1}"


def _evidence(results: StudyResults, point: TrialPoint, trials: list[TrialRecord]) -> Evidence:
    is_default = results.baseline is not None and point.trial_id == results.baseline.trial_id
    runs = [results.rung_records[t.trial_id][-1] for t in trials if results.rung_records.get(t.trial_id)]
    name = "default" if is_default and point is results.baseline else champion_name(results)
    gaps = [gap for t in trials for gap in _gaps(results, t.trial_id)]
    return Evidence(name, point.trial_id, tuple(runs), max((t.replicas for t in trials), default=1), tuple(gaps))


def _gaps(results: StudyResults, trial_id: str) -> Iterator[Gap]:
    """What the last rung lacks, with the last reason of all rungs."""
    ended = results.rung_records.get(trial_id, ())
    measured = {str(m.level) for m in ended[-1].measurements} if ended else set()
    for name, failed in {failed.level: failed for rung in ended for failed in rung.failures}.items():
        if name not in measured:
            kind, _, value = name.rpartition(" ")
            yield Gap(trial_id, LoadLevel(LoadKind(kind), float(value)), failed.failure, failed.message)


def _trial(results: StudyResults, point: TrialPoint) -> list[TrialRecord]:
    return [trial for trial in results.trial_records if trial.trial_id == point.trial_id]
