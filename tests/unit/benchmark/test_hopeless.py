"""When a load point is given up, decided on made-up requests without a clock."""

from __future__ import annotations

from autotuner.benchmark.client.wire import Outcome
from autotuner.benchmark.hopeless import LostAt, Progress, hopeless


def answer(
    scheduled_s: float, ttft_s: float, decode_s: float = 0.1, error: str | None = None, warmup: bool = False
) -> Outcome:
    first = scheduled_s + ttft_s
    return Outcome(
        index=0,
        warmup=warmup,
        scheduled_s=scheduled_s,
        sent_s=scheduled_s,
        end_s=first + decode_s,
        first_token_s=None if error else first,
        error=error,
    )


def open_loop(
    now_s: float, rate: float, capacity: float, *, decode_s: float = 0.1, allowed_s: float = 600.0
) -> Progress:
    """A queue in front of a server that starts ``capacity`` answers a second."""
    ended: list[Outcome] = []
    waiting: list[float] = []
    for n in range(int(now_s * rate)):
        due = n / rate
        starts = max(due, n / capacity)
        request = answer(due, starts - due + 0.05, decode_s)
        if request.end_s <= now_s:
            ended.append(request)
        elif starts + 0.05 > now_s:
            waiting.append(due)
    return Progress(ended, waiting, 10_000, 0, now_s, allowed_s, planned_s=60.0)


def closed_loop(ended: list[Outcome], *, now_s: float, total: int = 100, slots: int = 4) -> Progress:
    return Progress(ended, [], total, slots, now_s, allowed_s=100.0)


def test_a_server_that_keeps_up_is_not_given_up() -> None:
    for now_s in (1.0, 5.0, 20.0, 60.0):
        assert hopeless(open_loop(now_s, rate=20, capacity=25)) is None


def test_long_answers_are_no_queue() -> None:
    for now_s in (1.0, 5.0, 20.0, 60.0):
        assert hopeless(open_loop(now_s, rate=20, capacity=25, decode_s=40.0)) is None


def test_a_growing_queue_is_given_up() -> None:
    assert "queue grows" in (hopeless(open_loop(8.0, rate=20, capacity=8)) or "")


def test_a_stall_at_the_start_is_waited_for() -> None:
    assert hopeless(open_loop(2.0, rate=20, capacity=8)) is None


def test_slow_divergence_of_ttft_is_given_up() -> None:
    """A queue too short to count, with waits that only rise."""
    rising = [answer(float(n), 0.1 + 0.1 * n) for n in range(40)]
    assert "TTFT diverges" in (hopeless(Progress(rising, [], 100, 0, 50.0, 600.0, planned_s=100.0)) or "")
    settled = [answer(float(n), min(3.0, 0.1 + 0.3 * n)) for n in range(40)]
    assert hopeless(Progress(settled, [], 100, 0, 50.0, 600.0, planned_s=100.0)) is None


def test_nothing_but_failures() -> None:
    bad = [answer(0.1 * n, 0.1, error="http_status") for n in range(8)]
    assert "all failed (http_status)" in (hopeless(closed_loop(bad, now_s=1.0)) or "")
    assert hopeless(closed_loop(bad[:7], now_s=1.0)) is None
    assert hopeless(closed_loop([*bad[:7], answer(0.5, 0.1), *bad[:7]], now_s=1.0)) is None
    assert hopeless(closed_loop(bad, now_s=1.0, slots=16)) is None
    bad[-1] = answer(0.8, 0.1, error="refused")  # what it does now counts, and not what it did
    assert "all failed (refused)" in (hopeless(closed_loop(bad, now_s=1.0)) or "")


def test_a_dead_server_after_a_good_start() -> None:
    good = [answer(0.1 * n, 0.1) for n in range(50)]
    bad = [answer(5 + 0.1 * n, 0.1, error="refused") for n in range(8)]
    assert "refused" in (hopeless(closed_loop(good + bad, now_s=6.0)) or "")


def test_closed_loop_far_over_what_is_allowed() -> None:
    slow = [answer(0.0, 4.0, warmup=True)] * 4 + [answer(5.0, 4.0)] * 8
    assert "would take 625 s" in (hopeless(closed_loop(slow, now_s=50.0)) or "")
    assert hopeless(closed_loop(slow, now_s=50.0, total=16)) is None
    assert hopeless(closed_loop(slow[:10], now_s=50.0)) is None


def test_open_loop_that_is_planned_past_what_is_allowed() -> None:
    assert "due at 60 s" in (hopeless(open_loop(0.1, rate=20, capacity=25, allowed_s=10.0)) or "")


# ── each threshold, on both its sides ─────────────────────────────────────────────────────────


def test_a_queue_is_not_judged_before_three_seconds() -> None:
    assert hopeless(open_loop(2.9, rate=100, capacity=40)) is None
    assert "queue grows" in (hopeless(open_loop(3.1, rate=100, capacity=40)) or "")


def waits_of(wait_s: float, now_s: float) -> Progress:
    """One answer after ``wait_s``; a queue that grows by 40 a second ever since."""
    due = [n / 40 for n in range(1, int(40 * now_s))]
    return Progress([answer(0.0, wait_s)], due, 10_000, 0, now_s, 600.0, planned_s=60.0)


def test_a_queue_is_not_judged_before_four_times_the_least_wait() -> None:
    """Until then it may be no more than the time that an answer takes to begin."""
    assert hopeless(waits_of(2.0, 3.5 * 2.0)) is None
    assert "queue grows" in (hopeless(waits_of(2.0, 4.1 * 2.0)) or "")


def test_a_queue_that_rises_by_few_or_by_a_small_share_is_none() -> None:
    assert hopeless(open_loop(20, rate=20, capacity=19)) is None, "10 more in half the time"
    assert hopeless(open_loop(4, rate=100, capacity=80)) is None, "40 more, a fifth of what arrives"
    assert "queue grows" in (hopeless(open_loop(4, rate=100, capacity=70)) or "")


def test_a_queue_that_shrinks_again_is_none() -> None:
    """A burst in the third quarter of the time, of which most has been answered since."""
    ended = [answer(n / 20, 0.05) for n in range(100)] + [answer(6.0, 3.0 + n / 100) for n in range(80)]
    waiting = [6.0] * 40
    assert hopeless(Progress(ended, waiting, 10_000, 0, 10.0, 600.0, planned_s=60.0)) is None


def diverging(waits_s: list[float]) -> Progress:
    """Eight answers after each of the waits, a quarter of the requests each, and nobody that waits."""
    ended = [answer(8 * quarter + n / 2, wait_s) for quarter, wait_s in enumerate(waits_s) for n in range(8)]
    return Progress(ended, [], 10_000, 0, 40.0, 600.0, planned_s=60.0)


def test_ttft_diverges_by_five_times_and_by_a_second() -> None:
    assert "TTFT diverges" in (hopeless(diverging([0.3, 0.8, 1.3, 1.8])) or "")
    assert hopeless(diverging([0.03, 0.08, 0.13, 0.18])) is None, "six times, and no second"
    assert hopeless(diverging([1.0, 2.0, 3.0, 4.5])) is None, "three seconds more, and not five times"


def test_ttft_that_has_come_to_rest_does_not_diverge() -> None:
    assert hopeless(diverging([0.1, 2.0, 3.0, 3.1])) is None
    assert hopeless(diverging([0.1, 3.0, 2.0, 3.0])) is None, "it fell in between"
    assert "TTFT diverges" in (hopeless(diverging([0.1, 1.0, 2.0, 2.5])) or "")


def test_ttft_of_fewer_than_32_answers_is_not_judged() -> None:
    progress = diverging([0.3, 0.8, 1.3, 1.8])
    few = Progress(progress.ended[1:], [], 10_000, 0, 40.0, 600.0, planned_s=60.0)
    assert hopeless(few) is None


TTFT_LOST = LostAt("ttft", 0.3, 5)


def watched(ended: list[Outcome], limit: LostAt = TTFT_LOST, slots: int = 4) -> str | None:
    return hopeless(Progress(ended, [], 64, slots, 1.0, 600.0, planned_s=60.0, lost_at=[limit]))


def test_a_limit_that_the_rest_can_not_mend_ends_a_point_in_closed_and_in_open_loop() -> None:
    quick, slow = answer(0.0, 0.29), answer(0.0, 0.31)
    for slots in (4, 0):
        assert watched([slow] * 5 + [quick] * 20, slots=slots) == (
            "5 requests have a ttft over 300 ms, which the rest can't mend"
        )
        assert watched([slow] * 4 + [quick] * 20, slots=slots) is None


def test_warm_up_and_failed_requests_do_not_count_against_a_limit() -> None:
    slow, warmup, failed = answer(0.0, 0.31), answer(0.0, 9.0, warmup=True), answer(0.0, 9.0, error="timeout")
    assert watched([slow] * 4 + [warmup] * 9 + [failed] * 3) is None


def test_a_limit_on_whole_answers_counts_to_their_last_token() -> None:
    slow = answer(0.0, 0.1)
    slow.last_token_s = 0.31
    assert watched([slow] * 5, LostAt("e2e", 0.3, 5)) is not None
    assert watched([slow] * 5) is None


def test_what_waited_to_be_sent_is_not_counted() -> None:
    late = answer(0.0, 0.31)
    late.sent_s = 0.1
    assert watched([late] * 9) is None
