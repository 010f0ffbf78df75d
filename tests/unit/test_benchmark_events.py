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
    assert stream.finished
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
    "data", [event(error={"message": "out of memory"}), b'error: {"message": "out of memory"}\n\n', b"data: {oops\n\n"]
)
def test_errors_in_the_stream(data: bytes) -> None:
    stream = StreamReader()
    stream.feed(data, 0.0)
    assert stream.error
