"""Load plans: how many requests each rung sends at each level, and what is left out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autotuner.benchmark import LoadPoint, PointOutcome, full_requests, levels, make_plan
from autotuner.benchmark.traffic.list_plan import at_level
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.study.model import ConcurrencyLoad, RateLoad, Requests, Trace, TraceLoad, Workload


def closed(*concurrency: int, per_slot: int = 8, least: int = 64) -> Workload:
    return Workload(
        scenario="D(10,5)",
        load=ConcurrencyLoad(concurrency=list(concurrency)),
        requests=Requests(per_slot=per_slot, min=least),
    )


def at(concurrency: int) -> LoadLevel:
    return LoadLevel(LoadKind.CONCURRENCY, concurrency)


def test_levels_go_up_and_come_once() -> None:
    assert levels(closed(32, 1, 8, 8)) == (at(1), at(8), at(32))


def test_a_workload_at_one_of_its_levels_is_the_same_but_for_the_others() -> None:
    assert at_level(closed(32, 1, 8), at(8)) == closed(8)
    rates = Workload(scenario="D(10,5)", load=RateLoad(rate=[0.5, 2.0], arrival="constant"))
    alone = at_level(rates, LoadLevel(LoadKind.RATE, 0.5))
    assert alone.load == RateLoad(rate=[0.5], arrival="constant")


def test_rungs_send_what_is_missing() -> None:
    # n = max(64, 30 × 4) = 120; after the rungs: max(16, ⌈120/9⌉ = 14) = 16, max(16, 40) = 40, 120
    plans = [make_plan(closed(4, per_slot=30), rung, 3, 3) for rung in range(3)]
    assert [plan.points for plan in plans] == [
        (LoadPoint(at(4), 16, 0),),
        (LoadPoint(at(4), 24, 16),),
        (LoadPoint(at(4), 80, 40),),
    ]


def test_a_rung_with_nothing_missing_has_no_point() -> None:
    # n = 64: after the rungs max(32, 8) = 32, max(32, 22) = 32, 64
    workload = closed(8)
    assert make_plan(workload, 0, 3, 3).points == (LoadPoint(at(8), 32, 0),)
    assert make_plan(workload, 1, 3, 3).next([]) is None
    assert make_plan(workload, 2, 3, 3).points == (LoadPoint(at(8), 32, 32),)


def test_rates_have_requests_by_time() -> None:
    workload = Workload(scenario="D(10,5)", load=RateLoad(rate=[2.0, 0.5]), requests=Requests(per_level_s=30))
    slow, fast = levels(workload)
    assert (full_requests(workload, slow), full_requests(workload, fast)) == (15, 60)
    assert [p.requests for p in make_plan(workload, 0, 2, 4).points] == [4, 15]
    assert [(p.requests, p.first_index) for p in make_plan(workload, 1, 2, 4).points] == [(11, 4), (45, 15)]


def test_a_traces_level_has_what_is_due_in_time(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    lines = [{"timestamp_s": 100 + 10 * i, "input_tokens": 5, "output_tokens": 6} for i in range(10)]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    workload = Workload(
        scenario=Trace(trace=str(path)), load=TraceLoad(speed=[1.0, 2.0, 99.0]), requests=Requests(per_level_s=30)
    )
    assert [full_requests(workload, level) for level in levels(workload)] == [4, 7, 10]


def test_levels_above_a_hopeless_one_are_skipped() -> None:
    plan = make_plan(closed(1, 8, 32, 128), 0, 1, 3)
    one, eight, more, most = plan.points
    fine = PointOutcome(one, failed=False, hopeless=False)
    failed = PointOutcome(eight, failed=True, hopeless=False)
    assert plan.next([]) == one
    assert plan.next([fine]) == eight
    assert plan.next([fine, failed]) == more
    given_up = [fine, failed, PointOutcome(more, failed=True, hopeless=True)]
    assert plan.next(given_up) is None
    assert plan.skipped(given_up) == (most,)


def test_levels_given_up_in_an_earlier_rung_stay_out() -> None:
    plan = make_plan(closed(1, 8, 32), 2, 3, 3, hopeless=[at(8)])
    first = plan.next([])
    assert first is not None
    assert first.level == at(1)
    assert plan.next([PointOutcome(first, failed=False, hopeless=False)]) is None


@pytest.mark.parametrize(("per_slot", "expected"), [(1, 64), (8, 256)])
def test_full_requests_closed_loop(per_slot: int, expected: int) -> None:
    assert full_requests(closed(32, per_slot=per_slot), at(32)) == expected
