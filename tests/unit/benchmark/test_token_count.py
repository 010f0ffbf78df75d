"""How many tokens an answer has, and how that is known."""

from __future__ import annotations

import pytest

from autotuner.benchmark.client.events import StreamReader
from autotuner.benchmark.client.token_count import TokenCount, count_tokens


def stream(chunks: int, usage: int | None = None, finish: str | None = None) -> StreamReader:
    return StreamReader(chunks=[float(n) for n in range(chunks)], output_tokens=usage, finish=finish)


@pytest.mark.parametrize(
    ("read", "forced", "per_chunk", "expected"),
    [
        (stream(3, usage=9), 16, 2.0, TokenCount(9, "usage")),
        (stream(0, usage=4), None, None, TokenCount(4, "usage")),  # tokens that make no text
        (stream(0), 16, None, TokenCount(None, None)),
        (stream(0, usage=0), 16, None, TokenCount(0, "usage")),
        (stream(16, usage=0, finish="length"), 16, None, TokenCount(16, "forced")),  # a usage that can't be true
        (stream(1, finish="length"), 16, None, TokenCount(16, "forced")),
        (stream(1), 16, None, TokenCount(16, "forced")),
        (stream(15, finish="stop"), 16, None, TokenCount(16, "forced")),
        (stream(10, finish="stop"), 16, None, TokenCount(10, "chunks")),
        (stream(8, finish="stop"), 16, 2.0, TokenCount(16, "forced")),
        (stream(4, finish="stop"), 16, 2.0, TokenCount(8, "probe")),
        (stream(4), 16, 2.0, TokenCount(8, "probe")),  # the probe knows better
        (stream(4), None, 2.0, TokenCount(8, "probe")),
        (stream(4), None, None, TokenCount(4, "chunks")),
        (stream(1), None, 0.2, TokenCount(1, "probe")),
    ],
)
def test_the_surest_count_there_is(
    read: StreamReader, forced: int | None, per_chunk: float | None, expected: TokenCount
) -> None:
    assert count_tokens(read, forced, per_chunk) == expected


def test_a_length_is_wrong_when_it_is_another() -> None:
    assert TokenCount(16, "usage").wrong_length(16) is None
    assert TokenCount(None, None).wrong_length(16) is None
    assert TokenCount(17, "usage").wrong_length(16) == "17 output tokens, 16 were asked for"
    assert TokenCount(10, "chunks").wrong_length(16) == "10 output tokens (counted by chunks), 16 were asked for"


@pytest.mark.parametrize(
    ("tokens", "chunks", "reasoning", "per_chunk"),
    [(16, 1, None, None), (17, 16, None, None), (40, 1, 30, None), (64, 16, None, 4.0), (100, 64, None, None)],
    ids=["as asked", "one more", "the rest unseen", "four a chunk", "the limit is not kept"],
)
def test_a_count_that_may_be_true_is_believed(
    tokens: int, chunks: int, reasoning: int | None, per_chunk: float | None
) -> None:
    read = stream(chunks, usage=tokens)
    read.reasoning_tokens = reasoning
    assert count_tokens(read, None, per_chunk).beyond_belief(read, 16, per_chunk) is None


def test_a_count_of_more_than_was_asked_for_and_than_came_is_not() -> None:
    read = stream(16, usage=10**9)
    told = count_tokens(read, None, None).beyond_belief(read, 16, None)
    assert told == "its usage tells 1000000000 output tokens: 16 were asked for, and 16 chunks came"
    assert TokenCount(64, "chunks").beyond_belief(read, 16, None) is None
