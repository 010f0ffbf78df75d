"""When a load point is given up, decided on made-up requests without a clock."""

from __future__ import annotations

from autotuner.benchmark.client.wire import Outcome
from autotuner.benchmark.hopeless import Progress, hopeless


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
    now_s: float, rate: float, capacity: float, *, decode_s: float = 0.1, deadline_s: float = 600.0
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
    return Progress(ended, waiting, 10_000, 0, now_s, deadline_s, planned_s=60.0)


def closed_loop(ended: list[Outcome], *, now_s: float, total: int = 100, slots: int = 4) -> Progress:
    return Progress(ended, [], total, slots, now_s, deadline_s=100.0)


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


def test_a_dead_server_after_a_good_start() -> None:
    good = [answer(0.1 * n, 0.1) for n in range(50)]
    bad = [answer(5 + 0.1 * n, 0.1, error="refused") for n in range(8)]
    assert "refused" in (hopeless(closed_loop(good + bad, now_s=6.0)) or "")


def test_closed_loop_far_over_the_deadline() -> None:
    slow = [answer(0.0, 4.0, warmup=True)] * 4 + [answer(5.0, 4.0)] * 8
    assert "would take 625 s" in (hopeless(closed_loop(slow, now_s=50.0)) or "")
    assert hopeless(closed_loop(slow, now_s=50.0, total=16)) is None
    assert hopeless(closed_loop(slow[:10], now_s=50.0)) is None


def test_open_loop_that_is_planned_past_the_deadline() -> None:
    assert "due at 60 s" in (hopeless(open_loop(0.1, rate=20, capacity=25, deadline_s=10.0)) or "")
