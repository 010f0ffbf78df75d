"""What the answers of a load point were like: which note is said from which answer on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

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
    TokensBy,
    measure,
)

LEVEL = LoadLevel(LoadKind.CONCURRENCY, 1)
CONTEXT = MeasureContext(gpus=0, replicas=1, request_timeout_s=60)
AT_ONCE, BURSTS = "answers came at once", "in few chunks after a long silence"


def answer(
    number: int = 0, *, tokens: int = 11, chunks: int = 11, ttft: float = 0.1, stream_s: float = 1.0, **more: Any
) -> RequestRecord:
    """The ``number``-th of one slot, ``tokens`` in ``chunks`` over ``stream_s``, with nothing odd about it."""
    sent = 3.0 * number
    last = sent + ttft + stream_s
    return RequestRecord(
        index=number,
        scheduled_s=sent,
        sent_s=sent,
        first_token_s=sent + ttft,
        last_token_s=last,
        end_s=last,
        chunk_s=tuple(np.linspace(sent + ttft, last, chunks)),
        **{
            "warmup": False,
            "prompt_tokens": 5,
            "output_tokens": tokens,
            "expected_output_tokens": tokens,
            "asked_output_tokens": tokens,
            "tokens_by": TokensBy.USAGE,
            "first_visible_s": sent + ttft,
            "reasoning_tokens": 0,
            **more,
        },
    )


def measured(*records: RequestRecord) -> Measurement:
    return measure(LEVEL, [PointRun(LEVEL, records)], CONTEXT)


def notes(records: Sequence[RequestRecord]) -> str:
    return "; ".join(measured(*records).notes)


def plain(count: int) -> list[RequestRecord]:
    return [answer(number) for number in range(count)]


# ── figures ───────────────────────────────────────────────────────────────────────────────────


def test_the_share_of_a_forced_length_counts_answers_however_short_and_no_others() -> None:
    records = [
        answer(0),
        answer(1, output_tokens=4, expected_output_tokens=11, error=RequestError.WRONG_LENGTH),
        answer(2, output_tokens=None, expected_output_tokens=11, error=RequestError.EMPTY),
        answer(3, output_tokens=9, expected_output_tokens=11, error=RequestError.CUT),
        answer(4, output_tokens=99, expected_output_tokens=None),
        answer(5, output_tokens=99, expected_output_tokens=11, warmup=True),
    ]
    assert measured(*records).metrics["output_share"] == pytest.approx((11 + 4 + 0) / 33)


def test_means_are_of_good_answers_that_tell() -> None:
    records = [
        answer(0, tokens=10, reasoning_tokens=4),
        answer(1, tokens=20, reasoning_tokens=None),
        answer(2, output_tokens=None, reasoning_tokens=0),
        answer(3, tokens=99, reasoning_tokens=99, error=RequestError.CUT),
    ]
    metrics = measured(*records).metrics
    assert (metrics["output_tokens_mean"], metrics["reasoning_tokens_mean"]) == (10, 2)
    assert "reasoning_tokens_mean" not in measured(answer(0, reasoning_tokens=None)).metrics


@pytest.mark.parametrize(
    ("ways", "told"),
    [
        ([TokensBy.USAGE], ""),
        ([None], ""),
        ([TokensBy.USAGE, TokensBy.FORCED], "as the length that was forced"),
        ([TokensBy.PROBE, TokensBy.FORCED], "by the tokens a chunk that a probe found"),
        ([TokensBy.CHUNKS, None, TokensBy.PROBE], "by streamed chunks, each taken for a token"),
    ],
)
def test_the_least_sure_count_of_a_good_answer_is_told(ways: list[TokensBy | None], told: str) -> None:
    records = [answer(number, tokens_by=way) for number, way in enumerate(ways)]
    failed = answer(9, tokens_by=TokensBy.CHUNKS, error=RequestError.CUT)
    assert (f"output tokens are counted {told}" in notes([*records, failed])) is bool(told)
    assert ("are counted" in notes(records)) is bool(told)


# ── notes ─────────────────────────────────────────────────────────────────────────────────────


def test_the_two_most_frequent_causes_of_failures_are_told_in_the_servers_words() -> None:
    def failed(error: RequestError, status: int | None = None, detail: str = "") -> RequestRecord:
        return answer(error=error, status=status, detail=detail)

    records = [
        answer(),
        failed(RequestError.CUT),
        *[failed(RequestError.TIMEOUT)] * 2,
        *[failed(RequestError.HTTP_STATUS, 500, "x" * 121)] * 3,
        failed(RequestError.CANCELLED),
    ]
    assert notes(records) == f"6 of 7 requests failed: 3 × http_status 500 {'x' * 120}; 2 × timeout"


@pytest.mark.parametrize(
    ("output", "asked", "forced", "told"),
    [
        ((10, 20), 20, False, "15.0 tokens on average of 20.0 asked for"),
        ((20, 20), 20, False, ""),
        ((10, 20), 20, True, ""),
        ((10, 20), None, False, ""),
        ((None, 20), 20, False, "10.0 tokens on average of 20.0 asked for"),
    ],
)
def test_a_length_of_the_servers_own_is_told_where_one_is_shorter_than_asked_for(
    output: tuple[int | None, ...], asked: int | None, forced: bool, told: str
) -> None:
    expected = 20 if forced else None
    records = [
        answer(n, output_tokens=tokens, asked_output_tokens=asked, expected_output_tokens=expected)
        for n, tokens in enumerate(output)
    ]
    assert ("the length of answers is the server's own" in notes(records)) is bool(told)
    assert told in notes(records)


@pytest.mark.parametrize(("odd", "told"), [(1, False), (2, True)])
@pytest.mark.parametrize(
    ("record", "note"),
    [
        (answer(tokens=2, chunks=1, stream_s=0.0), f"2 of 21 {AT_ONCE}"),
        (answer(tokens=16, chunks=4, ttft=1.8, stream_s=0.19), f"2 of 21 answers came {BURSTS}"),
    ],
)
def test_more_than_one_in_twenty_is_worth_a_note(record: RequestRecord, note: str, odd: int, told: bool) -> None:
    """One of 20 is not more than one in twenty; two of 21 are."""
    records = [*plain(19), *[record] * odd]
    assert (note in notes(records)) is told
    assert (notes(records) == "") is not told


@pytest.mark.parametrize(("tokens", "told"), [(0, False), (1, False), (2, True)])
def test_only_an_answer_of_several_tokens_can_come_at_once(tokens: int, told: bool) -> None:
    assert (AT_ONCE in notes([answer(tokens=tokens, chunks=1, stream_s=0.0)])) is told


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"tokens": 8, "chunks": 2}, True),
        ({"tokens": 7, "chunks": 1, "stream_s": 0.01}, False),  # little to say
        ({"tokens": 8, "chunks": 3}, False),  # less than four tokens a chunk
        ({"tokens": 16, "chunks": 4}, True),
        ({"tokens": 15, "chunks": 4}, False),
        ({"tokens": 16, "chunks": 4, "stream_s": 0.21}, False),  # a tenth of its time and more
        ({"tokens": 16, "chunks": 4, "ttft": 2.25, "stream_s": 0.25}, False),  # exactly a tenth
        ({"tokens": 16, "chunks": 0}, False),
    ],
)
def test_a_burst_is_many_tokens_in_few_chunks_and_little_of_its_time(given: dict[str, Any], told: bool) -> None:
    """Of 2 s in all, 1.9 in silence unless said otherwise."""
    stream_s = given.get("stream_s", 0.1)
    record = answer(**{"stream_s": stream_s, "ttft": 2.0 - stream_s, **given})
    assert (BURSTS in notes([record])) is told


def test_a_bursts_time_is_that_of_its_own_request() -> None:
    assert notes([answer(1, tokens=16, chunks=4, ttft=1.5, stream_s=0.5)]) == ""


def test_a_burst_after_reasoning_that_is_known_of_is_told_as_that_alone() -> None:
    record = answer(tokens=40, chunks=4, ttft=1.9, stream_s=0.1, reasoning_tokens=24)
    assert record.unseen_tokens == 24
    told = notes([record, answer(1)])
    assert told.startswith("1 of 2 answers reasoned unseen (24 tokens on average)")
    assert BURSTS not in told


def test_reasoning_that_is_shown_is_told_from_its_first_visible_token() -> None:
    shown = answer(first_visible_s=0.4, reasoning_tokens=3)
    unmarked = answer(1)
    alone = answer(2, first_visible_s=None, reasoning_tokens=3)
    assert notes([shown, unmarked]) == "1 of 2 answers began with reasoning: ttft_visible is the first token after it"
    assert notes([shown, unmarked, alone]) == (
        "2 of 3 answers began with reasoning: ttft_visible is the first token after it; "
        "1 of 3 answers were reasoning alone, and have no first visible token"
    )


@pytest.mark.parametrize("more", [{"reasoning_tokens": 0}, {"reasoning_tokens": None}, {"chunk_s": ()}])
def test_without_a_visible_token_it_was_reasoning_only_where_some_is_told_and_streamed(more: dict[str, Any]) -> None:
    record = replace(answer(first_visible_s=None, reasoning_tokens=3), **more)
    assert "reasoning" not in notes([record])


def test_an_answer_without_a_first_token_did_not_begin_with_reasoning() -> None:
    record = replace(answer(first_visible_s=0.4), first_token_s=None)
    assert "began with reasoning" not in notes([record])
