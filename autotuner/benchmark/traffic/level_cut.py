"""The cut by load levels: each rung of a trial measures further levels, each of them in full.

    rung 0: the first level ──▶ rung 1: one more ──▶ … ──▶ the last rung: all that are left

All trials with the same first level take the levels in the same order, so that after a rung they are compared by the
same work: what one of them passes over lies above a level that broke, and would have broken as well.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from autotuner.benchmark.traffic.arrivals import REPEAT_OFFSET
from autotuner.benchmark.traffic.list_plan import ListPlan, full_requests, levels
from autotuner.benchmark.traffic.plan import LoadPoint
from autotuner.metrics.load_level import LoadLevel
from autotuner.study.model import FindMaxLoad, Study, Workload


def cuts_by_levels(study: Study) -> bool:
    """Whether each rung measures further load levels in full. A load search finds levels of its own, in one rung."""
    return study.fidelity.is_cut_by_levels and not isinstance(study.workload.load, FindMaxLoad)


def rungs_of(study: Study) -> int:
    """How many rungs a trial has: by levels no more than there are levels, so that none of them is empty."""
    rungs = study.fidelity.rungs
    return min(rungs, len(levels(study.workload))) if cuts_by_levels(study) else rungs


def level_order(every: Sequence[LoadLevel], first: LoadLevel) -> tuple[LoadLevel, ...]:
    """``first``; then those above it, the next one first: there is what may be better still; then those below,
    the next one first: there is what keeps SLOs that were broken above."""
    above = sorted(level for level in every if level > first)
    below = sorted((level for level in every if level < first), reverse=True)
    return (first, *above, *below)


def plan_levels(
    workload: Workload,
    first: LoadLevel,
    rung: int,
    rungs: int,
    *,
    done: Collection[LoadLevel] = (),
    tried: Collection[LoadLevel] = (),
    broken: Collection[LoadLevel] = (),
) -> ListPlan:
    """The load points of one rung: the next level in order, in the last rung all that are left.

    ``done`` are the levels that earlier rungs have measured, or have failed at; ``broken`` those above which nothing is
    to be hoped for. What was ``tried`` in vain, through no fault of the Config, gets prompts of its own.
    """
    left = [level for level in level_order(levels(workload), first) if level not in done]
    again = (rung + 1) * 2 * REPEAT_OFFSET
    points = tuple(LoadPoint(lv, full_requests(workload, lv), again if lv in tried else 0) for lv in left)
    return ListPlan(points, frozenset(broken), at_most=None if rung == rungs - 1 else 1)
