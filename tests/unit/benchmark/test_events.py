"""Streams of server-sent events, in whatever pieces they come."""

from __future__ import annotations

import json

import pytest

from autotuner.benchmark.client.events import StreamReader


def event(**content: object) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


COMPLETION = (
    event(choices=[{"text": "a"}], usage=None)
    + b": a comment\n\n"
    + event(choices=[{"text": ""}])
    + event(choices=[{"text": "b\u00e9"}])
    + event(choices=[{"text": "", "finish_reason": "length"}])
    + event(choices=[], usage={"prompt_tokens": 7, "completion_tokens": 3})
    + b"data: [DONE]\n\n"
)


@pytest.mark.parametrize("size", [1, 7, 50, 10_000])
def test_pieces_do_not_matter(size: int) -> None:
    stream = StreamReader()
    for start in range(0, len(COMPLETION), size):
        stream.feed(COMPLETION[start : start + size], float(start))
    assert len(stream.chunks) == 2
    assert (stream.prompt_tokens, stream.output_tokens) == (7, 3)
    assert stream.finish == "length"
    assert stream.ended
    assert stream.error is None


def test_carriage_returns_are_part_of_line_ends() -> None:
    stream = StreamReader()
    stream.feed(COMPLETION.replace(b"\n", b"\r\n"), 0.0)
    assert stream.ended


def test_the_role_alone_is_no_token() -> None:
    stream = StreamReader()
    stream.feed(event(choices=[{"delta": {"role": "assistant", "content": ""}}]), 1.0)
    stream.feed(event(choices=[{"delta": {"role": "assistant", "content": None}}]), 2.0)
    assert stream.chunks == []
    stream.feed(event(choices=[{"delta": {"content": "x"}}]), 3.0)
    stream.feed(event(choices=[{"delta": {"reasoning_content": "y"}}]), 4.0)
    assert stream.chunks == [3.0, 4.0]


@pytest.mark.parametrize(
    "data",
    [
        event(error={"message": "out of memory"}),
        event(error="out of memory"),
        event(error=True),
        event(object="error", message="the engine is dead", code=500),
        event(type="error", message="overloaded"),
        event(choices=[{"index": 0, "text": "", "error": {"message": "out of memory"}}]),
        event(choices=[{"delta": {"content": "", "error": "x"}}]),
        event(x_groq={"id": "1", "error": "over capacity"}),
        event(data=[{"error": 503}]),
        b'error: {"message": "out of memory"}\n\n',
        b"event: error\ndata: {}\n\n",
        b'event: error\ndata: {"message": "out of memory"}\n\n',
        b"data: {oops\n\n",
    ],
)
def test_errors_in_the_stream(data: bytes) -> None:
    stream = StreamReader()
    stream.feed(data, 0.0)
    assert stream.error
    assert stream.chunks == []


@pytest.mark.parametrize(
    "content",
    [
        {"choices": [{"text": "an error: error, object: error"}], "error": None},
        {"choices": [{"text": "x", "logprobs": {"top_logprobs": [{"error": -0.5}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"function": {"arguments": {"error": "x"}}}]}}]},
        {"choices": [{"text": "x", "error": {}}], "error": ""},
    ],
)
def test_a_word_is_no_error(content: dict[str, object]) -> None:
    stream = StreamReader()
    stream.feed(event(**content), 0.0)
    assert stream.error is None
    assert stream.chunks == [0.0]


@pytest.mark.parametrize("reason", ["abort", "aborted", "error", "cancelled", "content_filter", "timeout", "whatever"])
def test_an_answer_that_was_broken_off(reason: str) -> None:
    stream = StreamReader()
    stream.feed(event(choices=[{"text": "a"}]) + event(choices=[{"text": "", "finish_reason": reason}]), 0.0)
    assert stream.defect() == ("aborted", f"finish_reason {reason!r} after 1 chunks")


def test_a_map_may_say_that_it_was_broken_off() -> None:
    stream = StreamReader()
    stream.feed(event(choices=[{"text": "a", "finish_reason": {"type": "abort", "message": "x"}}]), 0.0)
    assert stream.defect() == ("aborted", "finish_reason 'abort' after 1 chunks")


@pytest.mark.parametrize(
    "reason",
    [
        *("stop", "length", "tool_calls", "eos_token", "stop_sequence", None),
        *("LENGTH", "STOP", "model_length", "COMPLETE", {"type": "length", "length": 16}, {"type": "stop"}),
    ],
)
def test_an_answer_that_is_whole(reason: object) -> None:
    stream = StreamReader()
    stream.feed(event(choices=[{"text": "a", "finish_reason": reason}]), 0.0)
    assert stream.defect() is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        event(choices=[{"text": "", "finish_reason": "stop"}]),
        event(choices=[], usage={"prompt_tokens": 4, "completion_tokens": 0}),
        event(choices=[{"delta": {"role": "assistant"}}]),
        event(detail="the engine is dead"),
        event(choices=None, usage=None),
        event(choices="none", usage=[]),
        event(choices=[], usage={"completion_tokens": "many"}),
        b"data: []\n\n",
    ],
)
def test_neither_text_nor_tokens_is_no_answer(data: bytes) -> None:
    stream = StreamReader()
    stream.feed(data + b"data: [DONE]\n\n", 0.0)
    defect = stream.defect()
    assert stream.ended
    assert defect is not None
    assert defect[0] == "empty"
    if b"engine is dead" in data:
        assert "engine is dead" in defect[1]


SILENT = event(choices=[{"text": "", "finish_reason": "length"}])


@pytest.mark.parametrize(("events", "tokens"), [(1, 1), (1, 4), (16, 16)])
def test_a_few_tokens_without_text_and_those_of_an_event_each_are_an_answer(events: int, tokens: int) -> None:
    """An end mark makes no text, and up to three bytes wait for the rest of their character."""
    stream = StreamReader()
    stream.feed(SILENT * events + event(choices=[], usage={"completion_tokens": tokens}), 0.0)
    assert stream.defect() is None


@pytest.mark.parametrize(("events", "tokens"), [(0, 1), (0, 16), (1, 16)])
def test_tokens_of_which_nothing_came_are_none_whatever_the_usage_tells(events: int, tokens: int) -> None:
    stream = StreamReader()
    stream.feed(SILENT * events + event(choices=[], usage={"completion_tokens": tokens}), 0.0)
    assert stream.defect() == ("empty", f"no text came of the {tokens} tokens that its usage tells")


def test_an_end_without_a_line_end() -> None:
    stream = StreamReader()
    stream.feed(event(choices=[{"text": "a"}]) + b"data: [DONE]", 0.0)
    assert not stream.ended
    stream.close(1.0)
    assert stream.ended


def test_reasoning_is_told_from_what_is_visible() -> None:
    stream = StreamReader()
    stream.feed(event(choices=[{"delta": {"reasoning_content": "hm"}}]), 1.0)
    stream.feed(event(choices=[{"delta": {"reasoning": "hm"}}]), 2.0)
    before = stream.first_visible_s
    stream.feed(event(choices=[{"delta": {"content": "so"}}]), 3.0)
    stream.feed(event(choices=[{"delta": {"content": "it is"}}]), 4.0)
    assert (stream.chunks, before, stream.first_visible_s) == ([1.0, 2.0, 3.0, 4.0], None, 3.0)


@pytest.mark.parametrize(
    "usage",
    [
        {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 5}},
        {"completion_tokens": 9, "reasoning_tokens": 5},
        {"completion_tokens": 9, "reasoning_tokens": 5, "completion_tokens_details": None},
    ],
)
def test_reasoning_tokens_are_kept(usage: dict[str, object]) -> None:
    stream = StreamReader()
    stream.feed(event(choices=[], usage=usage), 0.0)
    assert (stream.output_tokens, stream.reasoning_tokens) == (9, 5)
