"""A stream of events at its edges: what is kept of it, what is an error, and what is no answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from autotuner.benchmark.client.events import StreamReader, told_error
from autotuner.benchmark.client.token_count import TokenCount, count_tokens


def event(**content: Any) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def read(*pieces: bytes) -> StreamReader:
    """The pieces, the n-th of them at n seconds."""
    stream = StreamReader()
    for second, piece in enumerate(pieces):
        stream.feed(piece, float(second))
    return stream


def choice(**said: Any) -> bytes:
    return event(choices=[said])


# ── lines ─────────────────────────────────────────────────────────────────────────────────────


def test_a_line_counts_when_its_end_has_come() -> None:
    whole = choice(text="a")
    stream = read(whole[:9], whole[9:20], whole[20:])
    assert (stream.events, stream.chunks) == (1, [2.0])


def test_a_blank_after_the_colon_is_no_part_of_what_is_said() -> None:
    assert read(b"data:[DONE]\n").ended
    assert read(b"event:error\ndata:it broke\n").error == "it broke"
    assert read(b"error:it broke\n").error == "it broke"


def test_every_data_line_is_an_event_and_an_empty_one_says_nothing() -> None:
    stream = read(b"data:\n\ndata: [DONE]\n\n" + choice(text="a"))
    assert (stream.events, stream.ended, stream.error, stream.chunks) == (3, True, None, [0.0])


@pytest.mark.parametrize("line", [b"id: 5\n", b"retry: 9\n", b": a comment\n", b"\n"])
def test_what_says_nothing_is_not_kept(line: bytes) -> None:
    assert read(line).head == b""


def test_the_start_of_what_else_was_said_is_kept() -> None:
    stream = read(b"<html>\n", b" words \n", event(detail="d"), b"data: 5\n\n")
    assert stream.head == b'<html>words{"detail": "d"}5'
    long = read(b"x" * 1999 + b"\n", b"yyy\n", b"z\n")
    assert long.head == b"x" * 1999 + b"y"


def test_a_usage_alone_is_not_kept_as_something_said() -> None:
    assert read(event(choices=[], usage={"completion_tokens": 3})).head == b""
    assert read(event(choices=[])).head == b'{"choices": []}'


# ── errors ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"error:  it broke \n", "it broke"),
        (b"event: error\ndata: it broke\n\n", "it broke"),
        (b"event: error\ndata:\n\n", "an event named error"),
        (b"data: " + b"x" * 200 + b"\n\n", "not JSON: " + "x" * 100),
        (event(error={"code": 5}), '{"code": 5}'),
    ],
)
def test_an_error_is_told_in_its_own_words(data: bytes, error: str) -> None:
    assert read(data).error == error


def test_an_event_of_another_name_is_none() -> None:
    stream = read(b"event: error\nevent: message\n" + choice(text="a"))
    assert (stream.error, stream.chunks) == (None, [0.0])


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ({"error": "x"}, '"x"'),
        ({"error": None}, None),
        ({"object": "error", "code": 5}, '{"object": "error", "code": 5}'),
        ({"type": "error"}, '{"type": "error"}'),
        ({"object": "list", "type": "text"}, None),
        ({"a": [{"b": {"error": 5}}]}, "5"),
        ([{"a": 1}, {"error": "second"}], '"second"'),
        ({"logprobs": {"error": 5}}, None),
        ({"tool_calls": [{"error": 5}]}, None),
        ({"function_call": {"error": 5}}, None),
        ("error", None),
        (5, None),
    ],
)
def test_an_error_is_found_at_whatever_depth_but_in_the_models_own_words(said: Any, error: str | None) -> None:
    assert told_error(said) == error


# ── choices ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("said", "visible", "reasoned"),
    [
        ({"text": "a"}, True, False),
        ({"delta": {"content": "a"}}, True, False),
        ({"message": {"content": "a"}}, True, False),
        ({"delta": {"tool_calls": [{}]}}, True, False),
        ({"delta": {"function_call": {"name": "f"}}}, True, False),
        ({"delta": {"reasoning": "a"}}, False, True),
        ({"message": {"reasoning_content": "a"}}, False, True),
        ({"delta": {"content": "a", "reasoning": "b"}}, True, True),
        ({"delta": {"role": "assistant"}}, False, False),
        ({"delta": "a"}, False, False),
        ({"text": ""}, False, False),
        ({}, False, False),
    ],
)
def test_what_a_choice_carries(said: dict[str, Any], visible: bool, reasoned: bool) -> None:
    stream = read(b"", choice(**said))
    assert (stream.chunks, stream.first_visible_s) == ([1.0] * (visible or reasoned), 1.0 if visible else None)
    assert (stream.reasoned, stream.choices, stream.last_choice_s) == (reasoned, 1, 1.0)


def test_the_first_visible_chunk_stays_the_first_and_reasoning_is_remembered() -> None:
    stream = read(choice(delta={"reasoning": "a"}), choice(text="b"), choice(text="c"))
    assert (stream.first_visible_s, stream.reasoned, stream.last_choice_s) == (1.0, True, 2.0)


@pytest.mark.parametrize("choices", [None, "a", [], ["a"], [None]])
def test_what_is_no_choice_carries_nothing(choices: Any) -> None:
    assert read(event(choices=choices)).choices == 0


def test_the_last_reason_to_finish_counts() -> None:
    stream = read(choice(finish_reason="length"), choice(finish_reason=None), choice(finish_reason={"type": "stop"}))
    assert stream.finish == "stop"
    assert read(choice(finish_reason={})).finish is None


@pytest.mark.parametrize(
    ("told", "kept"),
    [(5, 5), (0, 0), (-1, None), (True, None), ("5", None), (1.5, None), (None, None)],
)
def test_a_count_is_a_whole_number_from_0(told: Any, kept: int | None) -> None:
    stream = read(event(choices=[], usage={"prompt_tokens": told, "completion_tokens": told, "reasoning_tokens": told}))
    assert (stream.prompt_tokens, stream.output_tokens, stream.reasoning_tokens) == (kept, kept, kept)


def test_details_of_the_reasoning_count_before_the_usages_own() -> None:
    usage = {"reasoning_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 0}}
    assert read(event(choices=[], usage=usage)).reasoning_tokens == 0


# ── no answer ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("choices", "tokens", "empty"),
    [(0, 1, True), (1, 4, False), (1, 5, True), (3, 6, False), (3, 7, True), (1, 0, True), (1, None, True)],
)
def test_up_to_three_tokens_more_than_events_may_make_no_text(choices: int, tokens: int | None, empty: bool) -> None:
    stream = StreamReader(choices=choices, output_tokens=tokens)
    assert (stream.defect() is not None) is empty


def test_what_was_said_instead_is_told() -> None:
    stream = read(b"<html>\n", b"data: [DONE]\n\n")
    assert stream.defect() == (
        "empty",
        "the stream ended without any text and without tokens in its usage; it said <html>",
    )
    assert read(b"data: [DONE]\n\n").defect() == (
        "empty",
        "the stream ended without any text and without tokens in its usage",
    )


# ── lengths ───────────────────────────────────────────────────────────────────────────────────


def streamed(chunks: int, **told: Any) -> StreamReader:
    return StreamReader(chunks=[0.0] * chunks, **told)


@pytest.mark.parametrize(
    ("chunks", "per_chunk", "finish", "count"),
    [
        (9, None, None, TokenCount(10, "forced")),
        (8, None, "stop", TokenCount(8, "chunks")),
        (9, None, "stop", TokenCount(10, "forced")),  # as near as one can tell
        (3, 2.9, "stop", TokenCount(10, "forced")),
        (3, 2.8, "stop", TokenCount(8, "probe")),
        (2, 2.0, None, TokenCount(4, "probe")),
        (2, 2.0, "length", TokenCount(10, "forced")),
        (2, 2.0, "max_tokens", TokenCount(10, "forced")),
    ],
)
def test_a_forced_length_of_ten_is_believed_where_nothing_speaks_against_it(
    chunks: int, per_chunk: float | None, finish: str | None, count: TokenCount
) -> None:
    assert count_tokens(streamed(chunks, finish=finish), 10, per_chunk) == count


@pytest.mark.parametrize(
    ("tokens", "chunks", "per_chunk", "reasoning", "believed"),
    [
        (10, 1, None, None, True),
        (11, 5, None, None, False),
        (11, 6, None, None, True),
        (12, 6, None, None, True),
        (13, 6, None, None, False),
        (24, 6, 2.0, None, True),
        (25, 6, 2.0, None, False),
        (40, 6, None, 28, True),
        (40, 6, None, 27, False),
    ],
)
def test_more_than_was_asked_for_is_believed_up_to_twice_what_came(
    tokens: int, chunks: int, per_chunk: float | None, reasoning: int | None, believed: bool
) -> None:
    stream = streamed(chunks, output_tokens=tokens, reasoning_tokens=reasoning)
    told = TokenCount(tokens, "usage").beyond_belief(stream, 10, per_chunk)
    assert (told is None) is believed
    assert TokenCount(None, "usage").beyond_belief(stream, 10, per_chunk) is None


def test_of_a_stream_that_said_nothing_nothing_is_known() -> None:
    assert read() == StreamReader()
    fresh = StreamReader()
    assert (fresh.chunks, fresh.choices, fresh.events, fresh.ended, fresh.reasoned) == ([], 0, 0, False, False)
    assert (fresh.first_visible_s, fresh.last_choice_s, fresh.head, fresh.error) == (None, None, b"", None)
    assert read(b"data: it broke\n").error == "not JSON: it broke", "no event under way was named an error"
