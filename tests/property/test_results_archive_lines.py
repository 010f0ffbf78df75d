"""An archive goes through a job's log whole, whatever pieces the log comes in and whatever else it says."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotuner.errors import InfrastructureError
from autotuner.results.moving.archive_lines import ArchiveReceiver, archive_lines

CONTENTS = st.binary(max_size=40_000)
CUTS = st.lists(st.integers(0, 60_000), max_size=20)


def pieces(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    return [text[begin:end] for begin, end in pairwise(places)]


@given(CONTENTS, CUTS, st.integers(0, 20))
def test_content_arrives_in_any_pieces_and_after_a_broken_connection(
    content: bytes, cuts: list[int], broken_after: int
) -> None:
    lines = [*archive_lines(io.BytesIO(content), {"name": "tiny"})]
    text = "\n".join(["Running entrypoint for job", lines[0] + "WARNING something", *lines[1:]]).replace("\n\n", "\n")
    target = io.BytesIO()
    receiver = ArchiveReceiver(target)
    for piece in pieces(text, cuts)[:broken_after]:
        receiver.feed(piece)
    receiver.restart()
    for piece in pieces(text, cuts):
        receiver.feed(piece)
    assert receiver.is_complete
    assert target.getvalue() == content
    assert receiver.received_bytes == len(content)
    assert receiver.about == {"name": "tiny", "size_bytes": len(content)}


@given(st.binary(min_size=1, max_size=100), st.integers(1, 2))
def test_a_line_that_is_missing_is_noticed(content: bytes, lost: int) -> None:
    content *= 30_000 // len(content)  # three lines or more
    lines = [*archive_lines(io.BytesIO(content), {})]
    receiver = ArchiveReceiver(io.BytesIO())
    with pytest.raises(InfrastructureError, match="is missing"):
        receiver.feed("".join([*lines[:lost], *lines[lost + 1 :]]))
    assert not receiver.is_complete


@given(st.binary(min_size=1, max_size=200))
def test_content_that_was_changed_on_the_way_is_noticed(content: bytes) -> None:
    other = bytes([content[0] ^ 1]) + content[1:]
    sent, changed = ([*archive_lines(io.BytesIO(one), {})] for one in (content, other))
    receiver = ArchiveReceiver(io.BytesIO())
    with pytest.raises(InfrastructureError, match="checksum"):
        receiver.feed("".join([sent[0], changed[1], sent[2]]))
    assert not receiver.is_complete
