"""The cut by load levels: which levels each rung measures, in which order, and how many rungs there are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotuner.benchmark import LoadPoint, PointOutcome, full_requests, levels, plan_levels, rungs_of
from autotuner.benchmark.traffic.level_cut import level_order
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.study.model import ConcurrencyLoad, RateLoad, Requests, Workload
from tests.tuning_parts import study


def at(concurrency: int) -> LoadLevel:
    return LoadLevel(LoadKind.CONCURRENCY, concurrency)


FOUR = Workload(scenario="D(8,4)", load=ConcurrencyLoad(concurrency=[1, 8, 32, 128]), requests=Requests(min=16))


def walked(first: int, rungs: int, broken: tuple[int, ...] = ()) -> list[list[int]]:
    """The levels of each rung of a trial that breaks at ``broken``, until nothing is left."""
    found: list[list[int]] = []
    done: list[LoadLevel] = []
    for rung in range(rungs):
        passed = [level for level in done if int(level.value) in broken]
        plan = plan_levels(FOUR, at(first), rung, rungs, done=done, broken=passed)
        ended: list[PointOutcome] = []
        while (point := plan.next(ended)) is not None:
            ended.append(PointOutcome(point, failed=False, hopeless=int(point.level.value) in broken))
        if not ended:
            break
        done += [outcome.point.level for outcome in ended]
        found.append([int(outcome.point.level.value) for outcome in ended])
    return found


def test_above_the_first_level_comes_what_may_be_better_and_then_what_lies_below() -> None:
    assert level_order(levels(FOUR), at(8)) == (at(8), at(32), at(128), at(1))
    assert level_order(levels(FOUR), at(128)) == (at(128), at(32), at(8), at(1))
    assert level_order(levels(FOUR), at(1)) == (at(1), at(8), at(32), at(128))


def test_a_rung_takes_the_next_level_and_the_last_one_all_that_are_left() -> None:
    assert walked(8, 3) == [[8], [32], [128, 1]]
    assert walked(8, 2) == [[8], [32, 128, 1]]
    assert walked(8, 1) == [[8, 32, 128, 1]]
    assert walked(8, 4) == [[8], [32], [128], [1]]


def test_what_lies_above_a_level_that_broke_is_passed_over_and_leaves_no_rung_empty() -> None:
    assert walked(32, 3, broken=(32,)) == [[32], [8], [1]]
    assert walked(8, 3, broken=(32,)) == [[8], [32], [1]]
    assert walked(8, 2, broken=(32,)) == [[8], [32, 1]]
    assert walked(1, 3, broken=(1,)) == [[1]], "nothing is left: the trial has come to its end"


def test_each_level_has_all_its_requests_at_once() -> None:
    plan = plan_levels(FOUR, at(32), 0, 3)
    assert plan.next([]) == LoadPoint(at(32), full_requests(FOUR, at(32)), 0)


def test_what_was_tried_in_vain_is_tried_again_with_prompts_of_its_own() -> None:
    starts = []
    for rung in (1, 2):
        point = plan_levels(FOUR, at(8), rung, 3, done=[at(8)], tried=[at(32)]).next([])
        assert point is not None
        assert (point.level, point.requests) == (at(32), full_requests(FOUR, at(32)))
        starts.append(point.first_index)
    assert len({0, *starts}) == 3


@pytest.mark.parametrize(
    ("fidelity", "count"),
    [
        ({"cut": "levels", "rungs": 3}, 2),
        ({"cut": "levels", "rungs": 1}, 1),
        ({"cut": "requests", "rungs": 3}, 3),
        ({"cut": "auto", "rungs": 3}, 2),
        ({"cut": "auto", "rungs": 3, "trial_scheduler": "median"}, 2),
        ({"cut": "auto", "rungs": 3, "trial_scheduler": "hyperband"}, 3),
    ],
)
def test_by_levels_there_are_no_more_rungs_than_levels(fidelity: dict[str, object], count: int) -> None:
    workload = {"scenario": "D(8,4)", "load": {"concurrency": [1, 4]}}
    assert rungs_of(study(workload=workload, fidelity=fidelity)) == count


@given(st.sets(st.integers(1, 50), min_size=1, max_size=6), st.integers(1, 8), st.data())
def test_every_level_is_measured_once_in_rungs_none_of_which_is_empty(
    values: set[int], most: int, data: st.DataObject
) -> None:
    workload = Workload(scenario="D(8,4)", load=RateLoad(rate=sorted(values)), requests=Requests(per_level_s=10))
    every = levels(workload)
    first = data.draw(st.sampled_from(every))
    rungs = min(most, len(every))
    done: list[LoadLevel] = []
    for rung in range(rungs):
        plan = plan_levels(workload, first, rung, rungs, done=done)
        ended: list[PointOutcome] = []
        while (point := plan.next(ended)) is not None:
            ended.append(PointOutcome(point, failed=False, hopeless=False))
        assert ended
        done += [outcome.point.level for outcome in ended]
    assert sorted(done) == list(every)
    assert done[0] == first
