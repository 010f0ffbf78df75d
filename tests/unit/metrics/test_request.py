"""The pace of one answer's tokens, and which of them nobody saw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autotuner.metrics import LoadKind, LoadLevel, PointRun, RequestError, RequestRecord, Window
from autotuner.metrics.request import FASTEST_S

STREAM = RequestRecord(0, False, 0.0, 0.0, 0.1, 1.1, 1.1, 20, 11, 11, first_visible_s=0.1)
# Five visible tokens from 0.75 s on, one every 0.125 s, after six of reasoning.
REASONED = replace(
    STREAM,
    first_token_s=0.75,
    first_visible_s=0.75,
    last_token_s=1.25,
    reasoning_tokens=6,
    chunk_s=(0.75, 1.0, 1.25),
)


@pytest.mark.parametrize(
    ("given", "gap_s"),
    [
        ({}, 0.1),
        ({"output_tokens": 2}, 1.0),
        ({"output_tokens": 1}, None),
        ({"output_tokens": None}, None),
        ({"first_token_s": None}, None),
        ({"last_token_s": None}, None),
        ({"output_tokens": 3, "first_token_s": 0.0, "last_token_s": 2 * FASTEST_S}, FASTEST_S),
        ({"output_tokens": 3, "first_token_s": 0.0, "last_token_s": 1.9 * FASTEST_S}, None),
    ],
)
def test_the_gap_between_tokens_is_the_streams_time_over_one_less_than_they_are(
    given: dict[str, Any], gap_s: float | None
) -> None:
    assert replace(STREAM, **given).token_gap_s == (None if gap_s is None else pytest.approx(gap_s))


@pytest.mark.parametrize(
    ("given", "unseen"),
    [
        ({}, 6),
        ({"reasoning_tokens": 0}, 0),
        ({"reasoning_tokens": None}, 0),
        ({"first_visible_s": 0.8}, 0),  # some of it was seen
        ({"output_tokens": None}, 0),
        ({"output_tokens": None, "reasoning_tokens": 1, "chunk_s": ()}, 0),
        ({"chunk_s": (0.0,) * 5}, 6),
        ({"chunk_s": (0.0,) * 6}, 0),  # more chunks than visible tokens
        ({"output_tokens": 6, "chunk_s": ()}, 6),  # none is visible
        ({"output_tokens": 5, "chunk_s": ()}, 0),  # reasoning is counted beside the output
        ({"sent_s": 0.375}, 6),  # a silence of half of what six tokens take at the pace of the visible ones
        ({"sent_s": 0.376}, 0),
        ({"sent_s": 0.7, "output_tokens": 8, "chunk_s": ()}, 0),
        ({"sent_s": 0.7, "output_tokens": 7, "chunk_s": ()}, 6),  # one visible token has no pace
        ({"sent_s": 0.7, "last_token_s": None}, 6),
    ],
)
def test_tokens_of_reasoning_are_unseen_where_nothing_speaks_against_it(given: dict[str, Any], unseen: int) -> None:
    assert replace(REASONED, **given).unseen_tokens == unseen


def test_a_run_of_which_no_more_is_said_had_no_lag_and_was_not_saturated() -> None:
    run = PointRun(LoadLevel(LoadKind.RATE, 1), ())
    assert (run.lag_p99_ms, run.saturated, run.stopped_early) == (0.0, False, None)


def test_a_request_is_ok_without_an_error() -> None:
    assert STREAM.ok
    assert not replace(STREAM, error=RequestError.CUT).ok


def test_a_window_is_full_unless_it_is_said_not_to_be() -> None:
    assert Window(1.0, 3.5).full
    assert Window(1.0, 3.5).length_s == 2.5


def test_warm_up_ends_when_the_first_measured_request_is_sent() -> None:
    level = LoadLevel(LoadKind.CONCURRENCY, 2)
    lead, other = (replace(STREAM, warmup=True, sent_s=sent_s, end_s=sent_s + 1.1) for sent_s in (0.0, 0.5))
    first, second = (replace(STREAM, sent_s=sent_s, end_s=sent_s + 1.1) for sent_s in (1.25, 1.7))
    assert PointRun(level, (lead, other, second, first)).warmup_s == 1.25
    assert PointRun(level, (first, second)).warmup_s == 0, "there was none"
    assert PointRun(level, (lead, other)).warmup_s == 1.6, "it came to nothing else"
    assert PointRun(level, ()).warmup_s == 0
