"""LoadSearch: which load comes next in the search for the largest one that meets every SLO. Pure.

    begin ──▶ doubling while loads hold (halving while they do not) ──▶ bisection between the two ──▶ done

A load that is unsure gets more requests first.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from autotuner.benchmark.traffic.list_plan import full_requests, levels
from autotuner.benchmark.traffic.plan import LoadPoint, PointOutcome
from autotuner.metrics.load_level import LoadLevel
from autotuner.scoring.max_load import Holds
from autotuner.study.model import Workload

MOST_REQUESTS = 4  # times the full number, before a load that is still unsure counts as one that does not hold


@dataclass(frozen=True)
class LoadSearch:
    """A LoadPlan over the loads of ``ladder``, lowest first.

    It begins at the largest one that is no more than ``begin_at`` (at the lowest without it). ``near``: this very
    Config was found to hold that much before, so that the search goes 1, 2, 4, … steps of the ladder away from it, and
    not twice and half the load. ``fewest``: requests below which no load can surely hold. ``recorded``: how many
    requests there are at a level, where there can't be more.
    """

    workload: Workload
    ladder: tuple[LoadLevel, ...]
    fewest: int = 1
    begin_at: LoadLevel | None = None
    near: bool = False
    recorded: Mapping[LoadLevel, int] = field(default_factory=dict)

    def next(self, ended: Sequence[PointOutcome]) -> LoadPoint | None:
        if not self.ladder:
            return None
        if ended and (more := self._more(ended)) is not None:
            return more
        verdicts = {outcome.point.level: _holds(outcome) for outcome in ended}
        held = [self.ladder.index(level) for level, verdict in verdicts.items() if verdict is Holds.YES]
        broken = [self.ladder.index(level) for level, verdict in verdicts.items() if verdict is not Holds.YES]
        step = self._next_step(held, broken)
        return None if step is None else LoadPoint(self.ladder[step], self._full(self.ladder[step]), 0)

    def _full(self, level: LoadLevel) -> int:
        return full_requests(self.workload, level)

    def _more(self, ended: Sequence[PointOutcome]) -> LoadPoint | None:
        """As many requests again for a load that is unsure, or what it takes for any to be sure."""
        last = ended[-1]
        if _holds(last) is not Holds.UNSURE:
            return None
        level = last.point.level
        sent = sum(outcome.point.requests for outcome in ended if outcome.point.level == level)
        most = max(MOST_REQUESTS * self._full(level), self.fewest)
        most = min(most, self.recorded.get(level, most))
        wanted = min(most, max(2 * sent, self.fewest))
        return LoadPoint(level, wanted - sent, sent) if wanted > sent else None

    def _next_step(self, held: Collection[int], broken: Collection[int]) -> int | None:
        high = min(broken, default=len(self.ladder))
        low = max((step for step in held if step < high), default=-1)
        if not held and not broken:
            return self._begin()
        if high - low == 1:
            return None
        if not broken:
            return self._up(low, len(held))
        if low < 0:
            return self._down(high, len(broken))
        return (low + high) // 2

    def _begin(self) -> int:
        if self.begin_at is None:
            return 0
        return max(0, bisect_right(self._loads, self.begin_at.value) - 1)

    def _up(self, step: int, tries: int) -> int:
        far = step + 2 ** (tries - 1) if self.near else bisect_left(self._loads, 2 * self._loads[step])
        return min(max(far, step + 1), len(self.ladder) - 1)

    def _down(self, step: int, tries: int) -> int:
        far = step - 2 ** (tries - 1) if self.near else bisect_right(self._loads, self._loads[step] / 2) - 1
        return max(min(far, step - 1), 0)

    @property
    def _loads(self) -> list[float]:
        return [level.value for level in self.ladder]


def searchable_levels(workload: Workload, recorded: Collection[LoadLevel] | None = None) -> tuple[LoadLevel, ...]:
    """The loads that a search may ask for: its ladder, or, of a replayed server, what was recorded in its range."""
    every = levels(workload)
    if recorded is None:
        return every
    lowest, highest = every[0], every[-1]
    return tuple(sorted(one for one in recorded if one.kind is lowest.kind and lowest <= one <= highest))


def _holds(outcome: PointOutcome) -> Holds:
    if outcome.failed or outcome.hopeless or outcome.holds is None:
        return Holds.NO
    return outcome.holds
