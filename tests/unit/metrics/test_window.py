from __future__ import annotations

import pytest

from autotuner.metrics import LoadKind, LoadLevel, PointRun, RequestError, RequestRecord, Window, find_window


def request(
    sent: float, end: float, *, warmup: bool = False, scheduled: float | None = None, error: RequestError | None = None
) -> RequestRecord:
    return RequestRecord(
        index=0,
        warmup=warmup,
        scheduled_s=sent if scheduled is None else scheduled,
        sent_s=sent,
        first_token_s=sent + 0.1,
        last_token_s=end,
        end_s=end,
        prompt_tokens=10,
        output_tokens=5,
        expected_output_tokens=5,
        error=error,
    )


def closed(*records: RequestRecord, concurrency: int = 2) -> PointRun:
    return PointRun(LoadLevel(LoadKind.CONCURRENCY, concurrency), records)


def test_closed_loop_window_is_where_all_slots_are_busy() -> None:
    run = closed(
        request(0, 1, warmup=True),
        request(1, 3),
        request(0.5, 2, warmup=True),
        request(2, 4),  # the second slot's first measured request: the window starts
        request(3, 5.5),
        request(4, 5),  # the second slot has no further one: the window ends at 5
    )
    assert find_window(run) == Window(2, 5, full=True)


def test_a_slot_that_changes_over_slowly_is_still_busy() -> None:
    run = closed(request(0, 1), request(0.2, 1.5), request(1.01, 2), request(1.52, 3), request(2.02, 2.8))
    assert find_window(run) == Window(0.2, 2.8)


def test_an_end_noted_a_little_late_makes_no_further_slot() -> None:
    run = closed(request(0, 1.001), request(0, 1.4), request(1, 2.4), request(1.4, 3.4))
    assert find_window(run) == Window(0, 2.4)


def test_slots_with_unequal_shares_end_the_window_when_the_first_is_done() -> None:
    run = closed(request(0, 1), request(0, 1.4), request(1.41, 2.4), request(2.41, 3.4))
    assert find_window(run) == Window(0, 1)


def test_cancelled_and_failed_requests_keep_their_slot_busy() -> None:
    run = closed(
        request(0, 1),
        request(0, 2, error=RequestError.CUT),
        request(1, 3, error=RequestError.CANCELLED),
        request(2, 3, error=RequestError.CANCELLED),
    )
    assert find_window(run) == Window(0, 3)


def test_where_the_slots_were_never_all_busy_the_whole_run_counts() -> None:
    run = closed(request(0, 1), request(1, 2.5), concurrency=2)
    assert find_window(run) == Window(0, 2.5)  # one slot only: it was busy throughout
    run = closed(request(0, 1), request(0.5, 0.9), request(0.95, 1.2), concurrency=3)
    found = find_window(run)
    assert found is not None
    assert found.length_s > 0


def test_open_loop_window_runs_from_first_to_last_scheduled_send() -> None:
    level = LoadLevel(LoadKind.RATE, 1)
    records = (
        request(0.0, 1, warmup=True, scheduled=0),
        request(1.2, 2, scheduled=1.0),
        request(2, 3),
        request(3.5, 9, scheduled=3),
    )
    assert find_window(PointRun(level, records)) == Window(1.0, 3.0, full=True)


def test_a_run_without_measured_requests_has_no_window() -> None:
    assert find_window(closed(request(0, 1, warmup=True))) is None
    assert find_window(closed()) is None
    assert find_window(closed(request(0, 1, error=RequestError.CANCELLED))) is None


@pytest.mark.parametrize("concurrency", [1, 3, 16])
def test_slots_are_found_again_whatever_their_number(concurrency: int) -> None:
    """Slot i begins at i × 0.1 s and sends 8 requests of 1 s with 1 ms between them."""
    records = [
        request(slot * 0.1 + n * 1.001, slot * 0.1 + n * 1.001 + 1, warmup=n == 0)
        for slot in range(concurrency)
        for n in range(9)
    ]
    found = find_window(closed(*records, concurrency=concurrency))
    assert found is not None
    assert found.start_s == pytest.approx((concurrency - 1) * 0.1 + 1.001, abs=0.01)
    assert found.end_s == pytest.approx(8 * 1.001 + 1, abs=0.01)


def test_without_a_time_that_had_all_slots_busy_the_window_is_the_whole_run_and_says_so() -> None:
    run = closed(request(0, 1), request(0.5, 2, warmup=True), request(2, 3))
    assert find_window(run) == Window(0, 3, full=False)
