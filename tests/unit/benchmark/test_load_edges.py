"""Load points at their edges: how many requests, which are given up, and what a workload can't tell."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autotuner.benchmark import LoadPoint, PointOutcome, make_plan
from autotuner.benchmark.client.wire import Outcome
from autotuner.benchmark.hopeless import Progress, all_failing, hopeless
from autotuner.benchmark.traffic.list_plan import full_requests, levels, requests_after
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.study.model import Workload


def workload(load: dict[str, Any], **requests: Any) -> Workload:
    return Workload.model_validate({"scenario": "D(9,9)", "load": load, "requests": requests})


def at(kind: LoadKind, value: float) -> LoadLevel:
    return LoadLevel(kind, value)


# ── how many ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("load", "requests", "counts"),
    [
        ({"concurrency": [1, 8, 9]}, {"per_slot": 8, "min": 64}, [64, 64, 72]),
        ({"rate": [0.001, 1, 1.01]}, {"per_level_s": 100}, [1, 100, 101]),
    ],
)
def test_a_full_load_point(load: dict[str, Any], requests: dict[str, Any], counts: list[int]) -> None:
    given = workload(load, **requests)
    assert [full_requests(given, level) for level in levels(given)] == counts


def test_a_traces_level_has_the_lines_that_are_due_by_its_end(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    lines = [{"timestamp_s": 100 + n, "input_tokens": 5, "output_tokens": 6} for n in range(9)]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    given = Workload.model_validate(
        {"scenario": {"trace": str(path)}, "load": {"speed": [0.5, 1, 1.5]}, "requests": {"per_level_s": 4}}
    )
    assert [full_requests(given, level) for level in levels(given)] == [3, 5, 7]


@pytest.mark.parametrize(("rung", "count"), [(0, 12), (1, 34), (2, 100)])
def test_each_rung_has_eta_times_the_requests_of_the_one_before(rung: int, count: int) -> None:
    given = workload({"rate": [1]}, per_level_s=100)
    assert requests_after(given, levels(given)[0], rung, 3, 3) == count


@pytest.mark.parametrize(("concurrency", "count"), [(2, 8), (3, 12), (4, 16)])
def test_a_closed_loop_has_four_requests_a_slot_at_least(concurrency: int, count: int) -> None:
    given = workload({"concurrency": [concurrency]}, per_slot=1, min=24)
    assert requests_after(given, levels(given)[0], 0, 2, 3) == count


# ── which ─────────────────────────────────────────────────────────────────────────────────────


def outcome(point: LoadPoint, *, is_hopeless: bool = False) -> PointOutcome:
    return PointOutcome(point, failed=is_hopeless, hopeless=is_hopeless)


def test_what_was_given_up_is_skipped_with_what_is_above_it() -> None:
    plan = make_plan(workload({"concurrency": [1, 2, 4]}), 0, 1, 3)
    one, two, four = plan.points
    ended = [outcome(one), outcome(two, is_hopeless=True)]
    assert (plan.next(ended), plan.skipped(ended)) == (None, (four,))
    assert plan.skipped([]) == ()
    first = [outcome(one, is_hopeless=True)]
    assert (plan.next(first), plan.skipped(first)) == (None, (two, four))


def test_a_level_of_another_kind_is_not_above_it() -> None:
    plan = make_plan(workload({"concurrency": [1, 2]}), 0, 1, 3, hopeless=[at(LoadKind.RATE, 1)])
    assert plan.next([]) == plan.points[0]
    same = make_plan(workload({"concurrency": [1, 2]}), 0, 1, 3, hopeless=[at(LoadKind.CONCURRENCY, 1.5)])
    assert same.next([]) == same.points[0]
    assert same.next([outcome(same.points[0])]) is None


# ── when it is hopeless ───────────────────────────────────────────────────────────────────────


def answer(scheduled_s: float, ttft_s: float | None, *, error: str | None = None, warmup: bool = False) -> Outcome:
    first = None if ttft_s is None else scheduled_s + ttft_s
    end = (scheduled_s if first is None else first) + 0.1
    return Outcome(
        index=0,
        warmup=warmup,
        scheduled_s=scheduled_s,
        sent_s=scheduled_s,
        end_s=end,
        first_token_s=first,
        error=error,
    )


def closed(ended: list[Outcome], *, slots: int, now_s: float, total: int, allowed_s: float = 100.0) -> str | None:
    return hopeless(Progress(ended, [], total, slots, now_s, allowed_s))


@pytest.mark.parametrize(
    ("slots", "failed", "told"),
    [(0, 7, False), (0, 8, True), (8, 8, True), (9, 8, False), (9, 9, True), (1, 8, True)],
)
def test_as_many_failures_in_a_row_as_slots_and_eight_at_least(slots: int, failed: int, told: bool) -> None:
    ended = [answer(0, 0.1), *[answer(1, None, error="cut")] * failed]
    assert (all_failing(ended, slots) is not None) is told
    if told:
        assert all_failing(ended, slots) == f"the last {max(8, slots)} requests all failed (cut)"


def test_one_that_went_well_breaks_the_row() -> None:
    bad = [answer(1, None, error="cut")] * 7
    assert all_failing([*bad, answer(0, 0.1), *bad], 0) is None


@pytest.mark.parametrize(
    ("measured", "now_s", "total", "told"),
    [
        (8, 10.0, 160, None),  # 200 s: twice what is allowed
        (8, 10.0, 161, "would take 201 s, 100 s are allowed"),
        (8, 9.9, 999, None),  # a tenth of the time has not gone by
        (7, 10.0, 999, None),  # too few have ended
    ],
)
def test_a_closed_loop_is_far_too_slow_at_more_than_twice_what_is_allowed(
    measured: int, now_s: float, total: int, told: str | None
) -> None:
    ended = [answer(0, 0.1, warmup=True)] * 9 + [answer(1, 0.1)] * measured
    assert closed(ended, slots=4, now_s=now_s, total=total) == told


def test_as_many_as_slots_are_waited_for() -> None:
    assert closed([answer(1, 0.1)] * 19, slots=20, now_s=50, total=9999) is None
    assert closed([answer(1, 0.1)] * 20, slots=20, now_s=50, total=9999) is not None


@pytest.mark.parametrize(("planned_s", "told"), [(200.0, False), (200.1, True)])
def test_an_open_loop_is_planned_for_twice_what_is_allowed_at_most(planned_s: float, told: bool) -> None:
    found = hopeless(Progress([], [], 10, 0, 0.0, 100.0, planned_s))
    assert (found == "the last request is due at 200 s, 100 s are allowed") is told


def growing(now_s: float, *, first_wait_s: float = 0.1, failed: bool = False) -> Progress:
    """From the second half on 40 requests a second of which none is answered, beside one that was."""
    half = now_s / 2
    waiting = [half * 0.5 + n / 40 for n in range(int(40 * half * 1.5))]
    first = answer(0.0, first_wait_s)
    ended = [first, *([answer(half * 1.2, None, error="timeout")] if failed else [])]
    return Progress(ended, waiting, 10_000, 0, now_s, 600.0, planned_s=60.0)


@pytest.mark.parametrize(
    ("progress", "told"),
    [
        (growing(2.99), False),
        (growing(3.0), True),
        (growing(8.0, first_wait_s=2.0), True),
        (growing(7.9, first_wait_s=2.0), False),
    ],
)
def test_a_queue_is_judged_from_three_seconds_and_four_waits_on(progress: Progress, told: bool) -> None:
    assert ((hopeless(progress) or "").startswith("the queue grows")) is told


def test_a_queue_is_told_by_its_length_now_and_half_the_time_ago() -> None:
    """Since 2 s five a second wait: 30 at 8 s, 10 of them at 4 s."""
    waiting = [2.0 + n / 5 for n in range(1, 31)]
    progress = Progress([answer(0.0, 0.1)], waiting, 10_000, 0, 8.0, 600.0, planned_s=60.0)
    assert hopeless(progress) == "the queue grows: 30 requests wait for their first token, 10 half the time ago"


@pytest.mark.parametrize(
    ("more", "answered", "told"), [(16, 48, True), (16, 49, False), (15, 0, False), (20, 60, True), (20, 61, False)]
)
def test_sixteen_and_a_quarter_of_what_arrives_are_to_stay(more: int, answered: int, told: bool) -> None:
    """``more`` wait than at 4 s; of what is due after it as many as ``answered`` came at once."""
    ended = [answer(0.0, 0.1), *[answer(4.0 + 3.9 * (n + 1) / answered, 0.01) for n in range(answered)]]
    waiting = [1.0, *(4.2 + n / 6 for n in range(more))]
    progress = Progress(ended, waiting, 10_000, 0, 8.0, 600.0, planned_s=60.0)
    assert (hopeless(progress) is not None) is told


@pytest.mark.parametrize(
    ("earlier", "later", "told"), [(9, 9, True), (0, 18, False), (18, 0, False)], ids=["rises", "jumped", "rests"]
)
def test_a_queue_is_to_rise_from_quarter_to_quarter(earlier: int, later: int, told: bool) -> None:
    """Of 8 s: so many that wait came in the third quarter and in the last; one came before."""
    waiting = [1.0, *[5.0] * earlier, *[7.0] * later]
    progress = Progress([answer(0.0, 0.1)], waiting, 10_000, 0, 8.0, 600.0, planned_s=60.0)
    assert (hopeless(progress) is not None) is told


def test_what_failed_waited_until_its_end() -> None:
    """Ten that timed out at 5 s were in the queue at 4 s: there are fewer than sixteen more now."""
    timed_out = [replace(answer(1.0, None, error="timeout"), end_s=5.0)] * 10
    waiting = [4.2 + n / 6 for n in range(20)]
    progress = Progress(
        [answer(0.0, 0.1), *timed_out, answer(5.5, 0.1)], waiting, 10_000, 0, 8.0, 600.0, planned_s=60.0
    )
    assert hopeless(progress) is None
    alone = Progress([answer(0.0, 0.1), answer(5.5, 0.1)], waiting, 10_000, 0, 8.0, 600.0, planned_s=60.0)
    assert hopeless(alone) is not None


def diverging(*quarters_s: float, count: int = 8) -> str | None:
    ended = [answer(10 * q + n / 4, wait_s) for q, wait_s in enumerate(quarters_s) for n in range(count)]
    return hopeless(Progress(ended[::-1], [], 10_000, 0, 60.0, 600.0, planned_s=60.0))


@pytest.mark.parametrize(
    ("quarters_s", "told"),
    [
        ((0.5, 1.0, 2.0, 2.5), "TTFT diverges: 0.50 s in the first quarter of the requests, 2.50 s in the last"),
        ((0.5, 1.0, 2.0, 2.49), None),  # less than five times
        ((0.1, 0.2, 0.5, 1.0), None),  # not a second more
        ((0.1, 0.2, 0.5, 1.1), "TTFT diverges: 0.10 s in the first quarter of the requests, 1.10 s in the last"),
        ((0.1, 1.0, 1.0, 3.0), None),  # it rested
        ((0.1, 1.0, 2.5, 3.0), None),  # it rises by a fifth at the most
        ((0.1, 1.0, 2.5, 3.01), "TTFT diverges: 0.10 s in the first quarter of the requests, 3.01 s in the last"),
    ],
)
def test_ttft_diverges(quarters_s: tuple[float, ...], told: str | None) -> None:
    """Whatever the order in which the answers ended."""
    assert diverging(*quarters_s) == told
    assert diverging(*quarters_s, count=7) is None, "fewer than 32"
