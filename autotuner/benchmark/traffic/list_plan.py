"""ListPlan: the levels of a study in order, each with the requests that a rung still misses."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from autotuner.benchmark.traffic.ladder import ladder
from autotuner.benchmark.traffic.plan import LoadPoint, PointOutcome
from autotuner.benchmark.traffic.workload import trace_timestamps
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.study.model import ConcurrencyLoad, FindMaxLoad, RateLoad, Workload

SLOTS_FACTOR = 4  # a closed-loop point has at least so many requests a slot, whatever the rung


@dataclass(frozen=True)
class ListPlan:
    """Load points one after another; levels above a hopeless one are left out.

    ``hopeless`` are levels given up in earlier rungs of the same trial. No more than ``at_most`` points are run.
    """

    points: tuple[LoadPoint, ...]
    hopeless: frozenset[LoadLevel] = frozenset()
    at_most: int | None = None

    def next(self, ended: Sequence[PointOutcome]) -> LoadPoint | None:
        if self.at_most is not None and len(ended) >= self.at_most:
            return None
        done = {outcome.point.level for outcome in ended}
        given_up = self._given_up(ended)
        for point in self.points:
            if point.level not in done and not _at_or_above(point.level, given_up):
                return point
        return None

    def skipped(self, ended: Sequence[PointOutcome]) -> tuple[LoadPoint, ...]:
        """The points that will not be run, because their level or a lower one is hopeless."""
        done = {outcome.point.level for outcome in ended}
        given_up = self._given_up(ended)
        return tuple(p for p in self.points if p.level not in done and _at_or_above(p.level, given_up))

    def _given_up(self, ended: Sequence[PointOutcome]) -> frozenset[LoadLevel]:
        return self.hopeless | {outcome.point.level for outcome in ended if outcome.hopeless}


def _at_or_above(level: LoadLevel, given_up: Collection[LoadLevel]) -> bool:
    return any(level.kind is other.kind and level.value >= other.value for other in given_up)


def levels(workload: Workload) -> tuple[LoadLevel, ...]:
    """The load levels of a workload, lowest first, each once; of a load search those that it may ask for."""
    load = workload.load
    if isinstance(load, FindMaxLoad):
        return ladder(load)
    if isinstance(load, ConcurrencyLoad):
        return tuple(LoadLevel(LoadKind.CONCURRENCY, c) for c in sorted(set(load.concurrency)))
    if isinstance(load, RateLoad):
        return tuple(LoadLevel(LoadKind.RATE, r) for r in sorted(set(load.rate)))
    return tuple(LoadLevel(LoadKind.SPEED, s) for s in sorted(set(load.speed)))


def at_level(workload: Workload, level: LoadLevel) -> Workload:
    """The same workload at one of its levels alone."""
    key = level.kind.value
    kept = [value for value in getattr(workload.load, key) if value == level.value]
    return workload.model_copy(update={"load": workload.load.model_copy(update={key: kept})})


def full_requests(workload: Workload, level: LoadLevel) -> int:
    """How many requests a load point has at full fidelity.

    A trace's level has the requests that are due in its first ``per_level_s`` seconds at that speed;
    the trace is read for it, which may raise WorkloadError.
    """
    rule = workload.requests
    if level.kind is LoadKind.CONCURRENCY:
        return max(rule.min, rule.per_slot * int(level.value))
    if level.kind is LoadKind.RATE:
        return max(1, math.ceil(level.value * rule.per_level_s))
    timestamps = trace_timestamps(workload)
    last_s = timestamps[0] + rule.per_level_s * level.value
    return sum(1 for at in timestamps if at <= last_s)


def requests_after(workload: Workload, level: LoadLevel, rung: int, rungs: int, eta: int) -> int:
    """How many requests a load point has after rung ``rung`` (from 0) of ``rungs``."""
    share = math.ceil(full_requests(workload, level) / float(eta) ** (rungs - 1 - rung))
    if level.kind is LoadKind.CONCURRENCY:
        return max(SLOTS_FACTOR * int(level.value), share)
    return share


def make_plan(workload: Workload, rung: int, rungs: int, eta: int, hopeless: Collection[LoadLevel] = ()) -> ListPlan:
    """The load points of one rung: at each level the requests that earlier rungs have not sent.

    A level with nothing missing has no point, so a plan may be empty. ``hopeless`` are the levels
    that earlier rungs gave up: they and those above them are left out.
    """
    points = []
    for level in levels(workload):
        sent = requests_after(workload, level, rung - 1, rungs, eta) if rung > 0 else 0
        missing = requests_after(workload, level, rung, rungs, eta) - sent
        if missing > 0:
            points.append(LoadPoint(level, missing, sent))
    return ListPlan(tuple(points), frozenset(hopeless))
