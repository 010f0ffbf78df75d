"""Of how many ids or words a prompt is made, so that the server counts the wanted tokens."""

from __future__ import annotations

import pytest

from autotuner.benchmark.traffic.sizing import WORDS, TextSizing, TokenIdSizing


def test_ids_are_tokens_less_those_that_the_server_adds() -> None:
    sizing = TokenIdSizing(first=3, end=259, added_tokens=2)
    assert sizing.alphabet == 256
    assert [sizing.units(tokens) for tokens in (10, 3, 2, 1)] == [8, 1, 1, 1]
    assert sizing.span(10) == 10, "within a prompt nothing is added"
    assert TokenIdSizing(0, 9).units(10) == 10


def test_words_are_tokens_less_those_that_the_server_adds_over_the_tokens_a_word() -> None:
    sizing = TextSizing(tokens_per_word=2.5, added_tokens=5)
    assert sizing.alphabet == len(WORDS)
    assert [sizing.units(tokens) for tokens in (25, 26, 27, 6, 1)] == [8, 8, 9, 1, 1]
    assert [sizing.span(tokens) for tokens in (25, 1)] == [10, 1]
    plain = TextSizing()
    assert (plain.units(7), plain.span(7)) == (7, 7)


@pytest.mark.parametrize("sizing", [TokenIdSizing(0, 9, 99), TextSizing(1.0, 99.0)])
def test_a_prompt_is_never_empty(sizing: TokenIdSizing | TextSizing) -> None:
    assert sizing.units(5) == 1
