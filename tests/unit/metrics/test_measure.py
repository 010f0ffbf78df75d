from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest

from autotuner.metrics import (
    METRICS,
    LoadKind,
    LoadLevel,
    MeasureContext,
    PointRun,
    RequestError,
    RequestRecord,
    Telemetry,
    TelemetrySample,
    TokensBy,
    find_metric,
    goodput_limits,
    measure,
)
from autotuner.study.model import Slo

LEVEL = LoadLevel(LoadKind.CONCURRENCY, 1)
CONTEXT = MeasureContext(gpus=0, replicas=1, request_timeout_s=60)


def request(
    sent: float,
    *,
    ttft: float = 0.1,
    gap: float = 0.1,
    tokens: int = 11,
    chunks: int | None = None,
    warmup: bool = False,
    scheduled: float | None = None,
    error: RequestError | None = None,
    reasoning: int | None = 0,
) -> RequestRecord:
    """Sent at ``sent``; the first token after ``ttft``, the last after ``(tokens − 1) × gap`` more."""
    last = sent + ttft + (tokens - 1) * gap
    times = np.linspace(sent + ttft, last, chunks or tokens)
    return RequestRecord(
        index=0,
        warmup=warmup,
        scheduled_s=sent if scheduled is None else scheduled,
        sent_s=sent,
        first_token_s=sent + ttft,
        last_token_s=last,
        end_s=last,
        prompt_tokens=20,
        output_tokens=tokens,
        expected_output_tokens=tokens,
        chunk_s=tuple(times),
        error=error,
        asked_output_tokens=tokens,
        tokens_by=TokensBy.USAGE,
        first_visible_s=sent + ttft,
        reasoning_tokens=reasoning,
    )


def back_to_back(count: int) -> tuple[RequestRecord, ...]:
    """One slot, requests of 1.1 s one after the other."""
    return tuple(request(n * 1.1) for n in range(count))


def test_latencies_and_rates_of_a_steady_slot() -> None:
    metrics = measure(LEVEL, [PointRun(LEVEL, back_to_back(10))], CONTEXT).metrics
    assert metrics["ttft_p90_ms"] == pytest.approx(100)
    assert metrics["tpot_mean_ms"] == pytest.approx(100)
    assert metrics["itl_p99_ms"] == pytest.approx(100)
    assert metrics["e2e_p50_ms"] == pytest.approx(1100)
    assert metrics["output_tokens_per_s"] == pytest.approx(110 / 11)
    assert metrics["total_tokens_per_s"] == pytest.approx((110 + 200) / 11)
    assert metrics["requests_per_s"] == pytest.approx(10 / 11)
    assert metrics["tokens_per_s_per_user"] == pytest.approx(10)
    assert metrics["error_rate"] == 0
    assert "cost_per_mtok" not in metrics


def test_a_chunk_is_not_a_token() -> None:
    """6 chunks carry 11 tokens: gaps of 200 ms stand for two tokens each."""
    records = tuple(request(n * 1.1, chunks=6) for n in range(5))
    metrics = measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT).metrics
    assert metrics["itl_mean_ms"] == pytest.approx(100)
    assert metrics["output_tokens_per_s"] == pytest.approx(10)


def test_rates_are_divided_by_gpus_else_by_replicas() -> None:
    run = PointRun(LEVEL, back_to_back(10))
    on_gpus = measure(LEVEL, [run], MeasureContext(gpus=4, replicas=2, request_timeout_s=60)).metrics
    without = measure(LEVEL, [run], MeasureContext(gpus=0, replicas=2, request_timeout_s=60)).metrics
    assert on_gpus["output_tokens_per_s_per_gpu"] == pytest.approx(2.5)
    assert without["output_tokens_per_s_per_gpu"] == pytest.approx(5)
    metric = find_metric("goodput_per_s_per_gpu")
    assert metric is not None
    assert (metric.label_for(4), metric.label_for(0)) == ("Goodput per GPU", "Goodput per replica")


def test_cost() -> None:
    context = MeasureContext(gpus=1, replicas=1, request_timeout_s=60, cost_per_hour=3.6)
    metrics = measure(LEVEL, [PointRun(LEVEL, back_to_back(10))], context).metrics
    assert metrics["cost_per_mtok"] == pytest.approx(100)  # 10 tokens/s at 0.001 a second
    assert metrics["output_tokens_per_cost"] == pytest.approx(10_000)
    free = MeasureContext(gpus=1, replicas=1, request_timeout_s=60, cost_per_hour=0)
    metrics = measure(LEVEL, [PointRun(LEVEL, back_to_back(10))], free).metrics
    assert metrics["cost_per_mtok"] == 0
    assert "output_tokens_per_cost" not in metrics


@pytest.mark.parametrize("error", [e for e in RequestError if e is not RequestError.CANCELLED])
def test_a_failed_request_counts_as_one_that_took_the_time_out(error: RequestError) -> None:
    records = (*back_to_back(3), request(3.3, error=error))
    measurement = measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT)
    assert (measurement.requests, measurement.errors) == (4, 1)
    assert measurement.metrics["error_rate"] == 0.25
    assert measurement.metrics["ttft_mean_ms"] == pytest.approx((3 * 100 + 60_000) / 4)
    assert measurement.metrics["tpot_mean_ms"] == pytest.approx((3 * 100 + 60_000) / 4)
    assert measurement.metrics["e2e_mean_ms"] == pytest.approx((3 * 1100 + 60_000) / 4)
    assert measurement.metrics["itl_mean_ms"] == pytest.approx((3 * 100 + 60_000) / 4)
    assert measurement.metrics["requests_per_s"] == pytest.approx(3 / 4.4)
    assert measurement.metrics["output_tokens_per_s"] == pytest.approx(33 / 4.4)


def test_cancelled_and_warm_up_requests_count_in_nothing() -> None:
    records = (
        request(0, ttft=9, warmup=True),
        *(request(10 + n * 1.1) for n in range(3)),
        request(13.3, ttft=5, error=RequestError.CANCELLED),
    )
    run = PointRun(LEVEL, records, stopped_early="the queue grows")
    measurement = measure(LEVEL, [run], CONTEXT)
    assert (measurement.requests, measurement.errors) == (3, 0)
    assert measurement.metrics["ttft_p99_ms"] == pytest.approx(100)
    assert measurement.stopped_early == "the queue grows"


def test_windows_of_several_runs_are_added_up() -> None:
    slow = tuple(request(n * 2.2, ttft=0.2, gap=0.2) for n in range(5))
    runs = [PointRun(LEVEL, back_to_back(10)), PointRun(LEVEL, slow)]
    measurement = measure(LEVEL, runs, CONTEXT)
    assert measurement.requests == 15
    assert measurement.metrics["output_tokens_per_s"] == pytest.approx((110 + 55) / (11 + 11))
    assert measurement.metrics["tpot_mean_ms"] == pytest.approx((10 * 100 + 5 * 200) / 15)


def test_open_loop_latency_runs_from_the_scheduled_send() -> None:
    level = LoadLevel(LoadKind.RATE, 1)
    records = tuple(request(n + 0.3, scheduled=float(n)) for n in range(6))
    metrics = measure(level, [PointRun(level, records)], CONTEXT).metrics
    assert metrics["ttft_mean_ms"] == pytest.approx(400)
    assert metrics["e2e_mean_ms"] == pytest.approx(1400)
    assert metrics["tpot_mean_ms"] == pytest.approx(100)


def test_open_loop_serves_what_is_sent() -> None:
    """2 requests/s, each 1.1 s long, warm-up at the same rate: in the window the served rate is 2 as well."""
    level = LoadLevel(LoadKind.RATE, 2)
    records = tuple(request(n * 0.5, warmup=n < 4) for n in range(45))
    metrics = measure(level, [PointRun(level, records)], CONTEXT).metrics
    assert metrics["requests_per_s"] == pytest.approx(2, rel=0.01)
    assert metrics["output_tokens_per_s"] == pytest.approx(22, rel=0.01)


def test_goodput_counts_requests_within_every_limit() -> None:
    records = (*back_to_back(8), request(8.8, ttft=0.5), request(10.3, gap=0.2))
    context = MeasureContext(gpus=0, replicas=1, request_timeout_s=60, limits_ms={"ttft": 300, "tpot": 150})
    metrics = measure(LEVEL, [PointRun(LEVEL, records)], context).metrics
    window = 10.3 + 0.1 + 2.0
    assert metrics["goodput_per_s"] == pytest.approx(8 / window)
    assert metrics["requests_per_s"] == pytest.approx(10 / window)


def test_goodput_limit_is_per_request_else_the_loosest_threshold() -> None:
    slo = Slo.model_validate(
        {
            "ttft": {"p50": {"threshold_ms": 100}, "p90": {"threshold_ms": 300}},
            "tpot": {"mean": {"threshold_ms": 40}, "per_request_ms": 55},
        }
    )
    assert goodput_limits(slo) == {"ttft": 300, "tpot": 55}


def test_one_token_answers_have_no_tpot() -> None:
    records = tuple(request(n * 0.1, tokens=1) for n in range(5))
    metrics = measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT).metrics
    assert metrics["ttft_mean_ms"] == pytest.approx(100)
    assert not any(column.startswith(("tpot", "itl")) or column == "tokens_per_s_per_user" for column in metrics)


def test_what_comes_in_one_chunk_has_no_time_between_its_tokens() -> None:
    records = tuple(request(n * 1.1, gap=0.0) for n in range(3))
    context = replace(CONTEXT, limits_ms={"tpot": 1000.0})
    measured = measure(LEVEL, [PointRun(LEVEL, records)], context)
    assert not [column for column in measured.metrics if column.startswith(("tpot", "itl", "tokens_per_s_per_user"))]
    assert measured.metrics["goodput_per_s"] == 0
    assert measured.metrics["output_tokens_per_s"] > 0


def test_failures_do_not_stand_in_for_a_value_that_no_good_request_has() -> None:
    records = (request(0, gap=0.0), request(1.1, error=RequestError.CUT))
    measured = measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT)
    assert "tpot_mean_ms" not in measured.metrics
    assert measured.metrics["ttft_mean_ms"] == pytest.approx((100 + 60_000) / 2)


@pytest.mark.parametrize(("gap_s", "timed"), [(2.1e-4, True), (1.9e-4, False)])
def test_what_comes_faster_than_anything_makes_tokens_was_held_back(gap_s: float, timed: bool) -> None:
    records = tuple(request(n * 1.1, gap=gap_s) for n in range(3))
    assert ("tpot_mean_ms" in measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT).metrics) is timed


@pytest.mark.parametrize(("at_once", "has_value"), [(2, True), (3, False)])
def test_where_most_came_at_once_the_others_stand_for_nothing(at_once: int, has_value: bool) -> None:
    records = (*back_to_back(2), *(request(2.2 + n * 1.1, gap=0.0) for n in range(at_once)))
    metrics = measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT).metrics
    assert ("tpot_mean_ms" in metrics, "itl_p99_ms" in metrics) == (has_value, has_value)


def test_answers_of_one_token_are_not_those_that_came_at_once() -> None:
    records = (*back_to_back(1), *(request(1.1 + n * 0.1, tokens=1) for n in range(9)))
    assert measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT).metrics["tpot_mean_ms"] == pytest.approx(100)


def test_some_answers_in_one_chunk_are_told_of() -> None:
    records = (*back_to_back(3), request(3.3, gap=0.0))
    measured = measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT)
    assert measured.metrics["tpot_mean_ms"] == pytest.approx(100)
    (note,) = measured.notes
    assert note.startswith("1 of 4 answers came at once")


@pytest.mark.parametrize(("asked", "good"), [(1, True), (11, False), (None, False)])
def test_only_where_one_token_was_asked_for_has_tpot_no_limit(asked: int | None, good: bool) -> None:
    records = tuple(replace(request(n * 0.1, tokens=1), asked_output_tokens=asked) for n in range(3))
    measured = measure(LEVEL, [PointRun(LEVEL, records)], replace(CONTEXT, limits_ms={"tpot": 5.0}))
    assert (measured.metrics["goodput_per_s"] > 0) is good
    measured = measure(LEVEL, [PointRun(LEVEL, records)], replace(CONTEXT, limits_ms={"ttft": 5.0}))
    assert measured.metrics["goodput_per_s"] == 0


def test_prompt_tokens_that_are_not_told_are_not_nothing() -> None:
    records = tuple(replace(r, prompt_tokens=None) for r in back_to_back(3))
    metrics = measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT).metrics
    assert "output_tokens_per_s" in metrics
    assert "total_tokens_per_s" not in metrics


def test_the_least_sure_count_is_named() -> None:
    ways = (TokensBy.USAGE, TokensBy.CHUNKS, TokensBy.FORCED)
    records = tuple(replace(r, tokens_by=way) for r, way in zip(back_to_back(3), ways, strict=True))
    measured = measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT)
    assert measured.tokens_by is TokensBy.CHUNKS
    assert "each taken for a token" in measured.notes[0]
    assert measure(LEVEL, [PointRun(LEVEL, back_to_back(3))], CONTEXT).tokens_by is TokensBy.USAGE


def test_the_share_of_a_forced_length_is_of_all_that_were_answered() -> None:
    short = replace(request(1.1, error=RequestError.WRONG_LENGTH), output_tokens=2)
    nothing = replace(request(2.2, error=RequestError.EMPTY), output_tokens=None)
    refused = replace(request(3.3, error=RequestError.REFUSED), output_tokens=None)
    metrics = measure(LEVEL, [PointRun(LEVEL, (request(0), short, nothing, refused))], CONTEXT).metrics
    assert metrics["output_share"] == pytest.approx((11 + 2 + 0) / 33)
    assert metrics["output_tokens_mean"] == 11
    free = replace(request(0), expected_output_tokens=None)
    assert "output_share" not in measure(LEVEL, [PointRun(LEVEL, (free,))], CONTEXT).metrics


def test_answers_of_their_own_length_are_told_of() -> None:
    records = tuple(replace(r, expected_output_tokens=None, asked_output_tokens=22) for r in back_to_back(2))
    assert measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT).notes == (
        "the length of answers is the server's own: 11.0 tokens on average of 22.0 asked for",
    )


def test_unseen_reasoning_is_no_part_of_the_time_between_tokens() -> None:
    """Eleven tokens, six of them reasoned in silence: five visible ones, four gaps of 0.1 s."""
    seen = [
        replace(request(sent, ttft=0.7, gap=0.1, tokens=5), output_tokens=11, reasoning_tokens=6) for sent in (0, 1.1)
    ]
    measured = measure(LEVEL, [PointRun(LEVEL, tuple(seen))], CONTEXT)
    assert measured.metrics["tpot_mean_ms"] == pytest.approx(100)
    assert measured.metrics["reasoning_tokens_mean"] == 6
    assert measured.metrics["output_tokens_mean"] == 11
    assert "2 of 2 answers reasoned unseen (6 tokens on average)" in measured.notes[0]


def test_the_first_visible_token_stands_beside_the_first() -> None:
    shown = replace(request(0, ttft=0.1), first_visible_s=0.4, reasoning_tokens=3)
    measured = measure(LEVEL, [PointRun(LEVEL, (shown,))], CONTEXT)
    assert measured.metrics["ttft_mean_ms"] == pytest.approx(100)
    assert measured.metrics["ttft_visible_mean_ms"] == pytest.approx(400)
    assert measured.metrics["tpot_mean_ms"] == pytest.approx(100)
    assert measured.notes == ("1 of 1 answers began with reasoning: ttft_visible is the first token after it",)
    never = replace(shown, first_visible_s=None)
    measured = measure(LEVEL, [PointRun(LEVEL, (shown, never))], CONTEXT)
    assert measured.metrics["ttft_visible_mean_ms"] == pytest.approx(400)
    assert "1 of 2 answers were reasoning alone" in measured.notes[1]


def test_a_burst_after_a_silence_is_told_of() -> None:
    burst = request(0, ttft=2.0, gap=0.001, tokens=32, chunks=4)
    assert "in few chunks after a long silence" in measure(LEVEL, [PointRun(LEVEL, (burst,))], CONTEXT).notes[0]
    steady = request(0, ttft=2.0, gap=0.1, tokens=32, chunks=8)  # four tokens a chunk, all the while
    short = request(0, ttft=2.0, gap=0.01, tokens=8)  # little to say after a long prompt
    assert measure(LEVEL, [PointRun(LEVEL, (steady,))], CONTEXT).notes == ()
    assert measure(LEVEL, [PointRun(LEVEL, (short,))], CONTEXT).notes == ()


def test_one_odd_answer_in_many_is_no_note() -> None:
    records = (*back_to_back(39), request(39 * 1.1, gap=0.0))
    assert measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT).notes == ()


def test_why_requests_failed_is_told() -> None:
    failed = [replace(request(n, error=RequestError.HTTP_STATUS), status=500, detail="out of luck") for n in range(2)]
    records = (*back_to_back(2), *failed, request(5, error=RequestError.CUT), request(6, error=RequestError.CANCELLED))
    (note,) = measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT).notes
    assert note == "3 of 5 requests failed: 2 × http_status 500 out of luck; 1 × cut"


def test_notes_of_runs_are_kept_once() -> None:
    runs = [PointRun(LEVEL, back_to_back(1), notes=("the cache stayed",)) for _ in range(2)]
    assert measure(LEVEL, runs, CONTEXT).notes == ("the cache stayed",)


@pytest.mark.parametrize("records", [(), (request(0, warmup=True),), (request(0, error=RequestError.CANCELLED),)])
def test_nothing_measured_has_no_metrics(records: tuple[RequestRecord, ...]) -> None:
    measurement = measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT)
    assert (measurement.requests, dict(measurement.metrics)) == (0, {})


def test_all_failed_is_still_finite() -> None:
    records = tuple(request(n, error=RequestError.REFUSED) for n in range(4))
    measurement = measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT)
    assert measurement.metrics["error_rate"] == 1
    assert measurement.metrics["ttft_p50_ms"] == 60_000
    assert measurement.metrics["output_tokens_per_s"] == 0
    assert all(math.isfinite(value) for value in measurement.metrics.values())


def test_every_column_is_in_the_registry_once() -> None:
    columns = [metric.column for metric in METRICS]
    assert len(set(columns)) == len(columns)
    context = MeasureContext(gpus=2, replicas=1, request_timeout_s=60, cost_per_hour=1)
    told = Telemetry(
        tuple(
            TelemetrySample(float(at_s), *[float(at_s + 1)] * (len(fields(TelemetrySample)) - 1)) for at_s in range(4)
        )
    )
    metrics = measure(LEVEL, [PointRun(LEVEL, back_to_back(5), telemetry=told)], context).metrics
    assert set(metrics) == set(columns) - {"max_load", "max_load_per_gpu"}  # which a load search adds


def test_a_hundred_thousand_requests_are_measured() -> None:
    records = tuple(request(n * 1.1, tokens=4, chunks=4) for n in range(100_000))
    measurement = measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT)
    assert measurement.requests == 100_000
    assert measurement.metrics["ttft_p99_ms"] == pytest.approx(100)


# ── reasoning, seen and unseen ────────────────────────────────────────────────────────────────


def reasoned(output: int, reasoning: int, chunks: int, *, ttft: float, stream_s: float) -> RequestRecord:
    """``chunks`` over ``stream_s`` after ``ttft``; the usage tells of ``reasoning``, no chunk is marked as that."""
    times = tuple(np.linspace(ttft, ttft + stream_s, chunks))
    made = request(0, ttft=ttft, tokens=output, reasoning=reasoning)
    last = ttft + stream_s
    return replace(made, chunk_s=times, last_token_s=last, end_s=last)


@pytest.mark.parametrize(
    ("record", "unseen"),
    [
        (reasoned(64, 32, 32, ttft=0.34, stream_s=0.31), 32),  # silence, then the rest
        (reasoned(64, 32, 4, ttft=0.34, stream_s=0.30), 32),  # in few chunks
        (reasoned(64, 32, 64, ttft=0.02, stream_s=0.63), 0),  # streamed as text
        (reasoned(64, 32, 16, ttft=0.02, stream_s=0.60), 0),  # in few chunks: no time went by that it could fill
        (reasoned(16, 48, 16, ttft=0.02, stream_s=0.15), 0),  # counted beside the output
        (reasoned(32, 32, 1, ttft=0.34, stream_s=0.0), 0),
        (reasoned(33, 32, 1, ttft=0.34, stream_s=0.0), 32),
    ],
)
def test_reasoning_is_unseen_where_chunks_and_time_have_room_for_it(record: RequestRecord, unseen: int) -> None:
    assert record.unseen_tokens == unseen


def test_reasoning_that_is_streamed_as_text_has_the_pace_of_all_tokens() -> None:
    record = reasoned(64, 32, 64, ttft=0.02, stream_s=0.63)
    assert record.token_gap_s == pytest.approx(0.01)
    hidden = reasoned(64, 32, 32, ttft=0.34, stream_s=0.31)
    assert hidden.token_gap_s == pytest.approx(0.01)
