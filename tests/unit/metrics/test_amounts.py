"""What of a load point's requests lies in its window, and what rates and samples are made of that."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autotuner.metrics import (
    LoadKind,
    LoadLevel,
    MeasureContext,
    Measurement,
    PointRun,
    RequestError,
    RequestRecord,
    measure,
)

ONE_SLOT = LoadLevel(LoadKind.CONCURRENCY, 1)
TWO_SLOTS = LoadLevel(LoadKind.CONCURRENCY, 2)
RATE = LoadLevel(LoadKind.RATE, 1)
CONTEXT = MeasureContext(gpus=0, replicas=1, request_timeout_s=60)


def request(
    sent: float,
    *,
    ttft: float = 0.1,
    gap: float = 0.1,
    tokens: int = 11,
    warmup: bool = False,
    error: RequestError | None = None,
) -> RequestRecord:
    """20 prompt tokens; the first token after ``ttft``, then one every ``gap``: 1.1 s in all, unless said otherwise."""
    first, last = sent + ttft, sent + ttft + (tokens - 1) * gap
    times = tuple(np.linspace(first, last, tokens))
    record = RequestRecord(0, warmup, sent, sent, first, last, last, 20, tokens, tokens, times, error)
    return replace(record, first_visible_s=first, reasoning_tokens=0)


def measured(*records: RequestRecord, level: LoadLevel = ONE_SLOT, context: MeasureContext = CONTEXT) -> Measurement:
    return measure(level, [PointRun(level, records)], context)


def back_to_back(count: int) -> list[RequestRecord]:
    return [request(n * 1.1) for n in range(count)]


# ── what lies in the window ───────────────────────────────────────────────────────────────────


def in_window(*records: RequestRecord) -> dict[str, float]:
    """The amounts of two slots that are both busy over [0, 1.1]: two requests of 11 tokens, and these records."""
    found = measured(request(0), request(0), *records, level=TWO_SLOTS).metrics
    return {name: found[f"{name}_per_s"] * 1.1 for name in ("output_tokens", "total_tokens", "requests")}


def test_what_lies_in_the_window_in_part_counts_in_part() -> None:
    """Sent at 1.05: half of its prompt's time, no token, and 0.05 s of its 1.1 s."""
    found = in_window(request(1.05))
    assert found == pytest.approx({"output_tokens": 22, "total_tokens": 22 + 40 + 10, "requests": 2 + 0.05 / 1.1})


def test_tokens_lie_where_their_chunks_do_else_where_the_time_of_tokens_does() -> None:
    """Of the chunks from 0.6 to 1.6 six have come by 1.1, of the time of tokens a half has gone by."""
    found = []
    for streamed in (request(1.0, ttft=0.05, gap=0.01), replace(request(1.0, ttft=0.05, gap=0.01), chunk_s=())):
        found.append(in_window(streamed)["output_tokens"] - 22)
    assert found == pytest.approx([6, 11 * 0.5])


@pytest.mark.parametrize(("sent_s", "counted"), [(0.5, 0), (0.9, 3), (1.5, 3), (1.9, 3), (2.0, 0)])
def test_an_instant_lies_in_the_window_or_not_at_all(sent_s: float, counted: int) -> None:
    """The window runs from 1 to 2 s; an answer comes in one piece after 0.1 s, no time of a chunk is known."""
    piece = replace(request(sent_s, gap=0.0, tokens=3, warmup=True), chunk_s=())
    with np.errstate(all="raise"):
        found = measured(request(1.0), request(2.0), piece, level=RATE).metrics
    assert found["output_tokens_per_s"] == pytest.approx(10 + counted)


def test_what_began_before_an_open_loops_window_counts_there_for_its_part() -> None:
    """Of the warm-up request's 1.1 s from 0.45 on the window has 0.55 s, and its last five or six tokens."""
    found = measured(request(0.45, warmup=True), request(1.0), request(2.0), level=RATE).metrics
    assert found["requests_per_s"] == pytest.approx(0.5 + 1 / 1.1)
    assert found["output_tokens_per_s"] == pytest.approx(6 + 10)
    assert found["total_tokens_per_s"] == pytest.approx(6 + 10 + 20)


def test_what_failed_counts_in_no_rate_and_a_prompt_that_is_not_told_of_one_that_is_outside_in_none() -> None:
    outside = replace(request(1.2), prompt_tokens=None)
    failed = request(0.5, error=RequestError.CUT)
    found = measured(request(0), request(0), outside, level=TWO_SLOTS).metrics
    assert found["total_tokens_per_s"] == pytest.approx((22 + 40) / 1.1)
    assert measured(request(0), failed, level=RATE).metrics["output_tokens_per_s"] == pytest.approx(5 / 0.5)


# ── limits ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("limits", "good"),
    [
        ({}, True),
        ({"ttft": 125.0, "e2e": 1125.0}, True),  # at its limit
        ({"ttft": 124.9}, False),
        ({"e2e": 1124.9}, False),
        ({"ttft": 125.0, "tpot": 99.0}, False),
    ],
)
def test_a_good_request_keeps_every_limit(limits: dict[str, float], good: bool) -> None:
    record = replace(request(0), first_token_s=0.125, last_token_s=1.125)
    found = measured(record, context=replace(CONTEXT, limits_ms=limits)).metrics
    assert found["goodput_per_s"] == (found["requests_per_s"] if good else 0)


@pytest.mark.parametrize("metric", ["tpot", "itl"])
def test_an_answer_of_one_token_that_was_to_have_no_more_keeps_the_limits_between_tokens(metric: str) -> None:
    limited = replace(CONTEXT, limits_ms={metric: 1.0})
    asked = replace(request(0, tokens=1), asked_output_tokens=1)
    assert measured(asked, context=limited).metrics["goodput_per_s"] > 0
    assert measured(replace(asked, asked_output_tokens=2), context=limited).metrics["goodput_per_s"] == 0
    visible = replace(CONTEXT, limits_ms={"ttft_visible": 1.0})
    assert measured(replace(asked, first_visible_s=None), context=visible).metrics["goodput_per_s"] == 0


# ── rates ─────────────────────────────────────────────────────────────────────────────────────


def test_costs_of_what_was_served_at_a_price_an_hour() -> None:
    found = measured(*back_to_back(10), context=replace(CONTEXT, cost_per_hour=3.6)).metrics
    assert found["cost_per_mtok"] == pytest.approx(1e6 / (10 * 1000))
    assert found["output_tokens_per_cost"] == pytest.approx(10 * 1000)
    assert found["goodput_per_cost"] == pytest.approx(10 / 11 * 1000)
    nothing = measured(request(0, error=RequestError.CUT), context=replace(CONTEXT, cost_per_hour=3.6)).metrics
    assert "cost_per_mtok" not in nothing
    assert (nothing["output_tokens_per_cost"], nothing["goodput_per_cost"]) == (0, 0)


@pytest.mark.parametrize(("gpus", "replicas", "servers"), [(4, 2, 4), (1, 2, 1), (0, 2, 2), (0, 0, 1)])
def test_rates_are_divided_by_gpus_else_replicas_else_not(gpus: int, replicas: int, servers: int) -> None:
    found = measured(*back_to_back(10), context=MeasureContext(gpus, replicas, 60)).metrics
    for rate in ("output_tokens_per_s", "total_tokens_per_s", "requests_per_s", "goodput_per_s"):
        assert found[f"{rate}_per_gpu"] == pytest.approx(found[rate] / servers)


def test_why_the_last_run_that_was_given_up_was_is_told() -> None:
    runs = [PointRun(ONE_SLOT, (request(0),), stopped_early=why) for why in ("first", "second", None)]
    assert measure(ONE_SLOT, runs, CONTEXT).stopped_early == "second"
    assert measure(ONE_SLOT, runs[2:], CONTEXT).stopped_early is None


# ── samples ───────────────────────────────────────────────────────────────────────────────────


def test_latencies_run_from_the_send_in_closed_loop_and_from_when_it_was_due_in_open_loop() -> None:
    late = replace(request(3.0), scheduled_s=2.5, first_visible_s=3.4)
    closed = measured(late).samples
    found = {name: float(values[0]) for name, values in closed.items()}
    assert found == pytest.approx({"ttft": 100, "ttft_visible": 400, "tpot": 100, "itl": 100, "e2e": 1100})
    opened = measured(late, level=RATE).samples
    assert [float(opened[name][0]) for name in ("ttft", "ttft_visible", "e2e")] == pytest.approx([600, 900, 1600])


def test_samples_are_of_measured_requests() -> None:
    samples = measured(request(0, ttft=9, gap=1, warmup=True), request(19)).samples
    lengths = {name: len(values) for name, values in samples.items()}
    assert lengths == {"ttft": 1, "ttft_visible": 1, "tpot": 1, "itl": 10, "e2e": 1}


def test_a_failed_request_has_as_many_gaps_as_a_good_one_on_average_and_one_at_least() -> None:
    """Good ones of 11 and 6 tokens have 15 gaps, so a failed one 8 of the time-out."""
    failed = request(2.2, error=RequestError.CUT)
    assert sorted(measured(request(0), request(1.1, tokens=6), failed).samples["itl"])[15:] == [60_000] * 8
    single = [request(1.1 + n, tokens=1) for n in range(30)]
    assert len(measured(request(0), *single, request(40, error=RequestError.CUT)).samples["itl"]) == 10 + 1


def test_where_all_failed_each_is_one_time_out_in_every_latency() -> None:
    failed = [request(n, error=RequestError.CUT) for n in range(3)]
    samples = measured(*failed).samples
    assert {name: list(values) for name, values in samples.items()} == dict.fromkeys(
        ("ttft", "ttft_visible", "tpot", "itl", "e2e"), [60_000] * 3
    )
