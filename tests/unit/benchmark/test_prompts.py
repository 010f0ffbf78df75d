"""How prompts are laid out: shared prefix, blocks, number and mark, to the token."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from autotuner.benchmark.traffic.datasets import PromptSet
from autotuner.benchmark.traffic.mix import Mix, SourceSpec, open_mix
from autotuner.benchmark.traffic.prompts import PromptWriter, Span
from autotuner.benchmark.traffic.scenario import Shape
from autotuner.benchmark.traffic.sizing import WORDS, TextSizing, TokenIdSizing

IDS = TokenIdSizing(0, 256)


def mix(*scenarios: str) -> Mix:
    return open_mix([SourceSpec("scenario", text) for text in scenarios], 0)


def trace(tmp_path: Path, tokens: int, *block_ids: list[int]) -> Mix:
    path = tmp_path / "trace.jsonl"
    lines = [
        {"timestamp_s": n, "input_tokens": tokens, "output_tokens": 2, "hash_ids": ids}
        for n, ids in enumerate(block_ids)
    ]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return open_mix([SourceSpec("trace", str(path))], 0)


def ids(writer: PromptWriter, level: str = "rate 1", index: int = 0) -> list[int]:
    content = writer.measured(level, index).content
    assert isinstance(content, list)
    return content


# ── drawn prompts ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("index", "digits"), [(0, [0, 0, 0]), (1, [1, 0, 0]), (256, [0, 1, 0]), (70_000, [112, 17, 1])]
)
def test_a_drawn_prompt_begins_with_its_number_in_the_level_lowest_digit_first(index: int, digits: list[int]) -> None:
    assert ids(PromptWriter(mix("D(40,1)"), IDS, 0), index=index)[:3] == digits


def test_after_its_number_comes_a_mark_of_level_and_seed_of_four_bytes() -> None:
    def mark(level: str, seed: int, index: int) -> list[int]:
        return ids(PromptWriter(mix("D(40,1)"), IDS, seed), level, index)[3:7]

    assert mark("rate 1", 0, 5) == mark("rate 1", 0, 6)
    assert mark("rate 1", 0, 5) != mark("rate 2", 0, 5)
    assert mark("rate 1", 0, 5) != mark("rate 1", 1, 5)
    digits = [set(column) for column in zip(*(mark(f"rate {n}", 0, 0) for n in range(40)), strict=True)]
    assert all(len(seen) > 20 for seen in digits), "each of the four tells levels apart"
    eighth = {ids(PromptWriter(mix("D(40,1)"), IDS, 0), "rate 1", index)[7] for index in range(40)}
    assert len(eighth) > 20, "what follows is drawn"


def test_a_small_alphabet_takes_more_digits() -> None:
    """16^6 is 2^24, and 16^8 is 2^32."""
    found = ids(PromptWriter(mix("D(40,1)"), TokenIdSizing(0, 16), 0), index=0x123456)
    assert found[:6] == [6, 5, 4, 3, 2, 1]
    again = ids(PromptWriter(mix("D(40,1)"), TokenIdSizing(0, 16), 0), index=0)
    assert found[6:14] == again[6:14]


def test_a_prompt_shorter_than_its_number_is_cut() -> None:
    assert ids(PromptWriter(mix("D(2,1)"), IDS, 0), index=0x030201) == [1, 2]


def test_a_warm_prompt_has_neither_number_nor_mark() -> None:
    writer = PromptWriter(mix("D(40,1)"), IDS, 0, cold=False)
    assert writer.measured("rate 1", 0).content == [*Random("0//0").choices(range(256), k=40)]


def test_a_shared_prefix_comes_first_and_leaves_one_token_at_least() -> None:
    prefix = Random("7 prefix").choices(range(256), k=10)
    found = ids(PromptWriter(mix("D(40,1)"), IDS, 7, shared_prefix_tokens=10), index=1)
    assert found[:13] == [*prefix, 1, 0, 0]
    assert len(found) == 40
    assert ids(PromptWriter(mix("U(5,5)/(1,1)"), IDS, 7, shared_prefix_tokens=10), index=1) == [*prefix[:4], 1]


def test_words_stand_for_numbers_in_text() -> None:
    content = PromptWriter(mix("D(40,1)"), TextSizing(), 0).measured("rate 1", 3).content
    assert isinstance(content, str)
    assert content.split(" ")[0] == WORDS[3]


# ── warm-up ───────────────────────────────────────────────────────────────────────────────────


def test_a_warm_up_prompt_of_a_warm_workload_is_one_that_is_measured_next() -> None:
    writer = PromptWriter(mix("D(40,1)"), IDS, 0, cold=False)
    assert writer.warmup("rate 1", 4, 3) == writer.measured("rate 1", 7)


def numbered(count: int, spans: dict[str, Span], **more: Any) -> PromptWriter:
    shapes = tuple(Shape(0, 1, f"p{n}") for n in range(count))
    return PromptWriter(Mix((PromptSet(shapes),), (1.0,)), IDS, 0, spans=spans, **more)


def said(content: object) -> str:
    return str(content).partition(" ")[0]


def test_a_datasets_warm_up_prompts_are_those_before_the_measured_ones_with_a_mark() -> None:
    writer = numbered(20, {"rate 1": Span(5, 9)})
    found = [writer.warmup("rate 1", 2, slot).content for slot in range(3)]
    assert [said(content) for content in found] == ["p6", "p5", "p4"]
    assert all(str(content).endswith("]") for content in found)
    assert writer.warmup("rate 1", 2, 0) != writer.warmup("rate 1", 7, 0)


@pytest.mark.parametrize(
    ("index", "sent"), [(0, "p3"), (1, "p4"), (2, "p5 ["), (4, "p0 [")], ids=["new", "its last", "not its own", "again"]
)
def test_of_a_dataset_only_what_is_the_levels_own_goes_out_as_it_stands(index: int, sent: str) -> None:
    writer = numbered(7, {"rate 1": Span(3, 2)})
    content = str(writer.measured("rate 1", index).content)
    assert content.startswith(sent)
    assert ("[" in content) is ("[" in sent)


def test_what_is_beyond_the_end_of_a_dataset_is_not_new() -> None:
    writer = numbered(3, {"rate 1": Span(0, 9)})
    assert [("[" in str(writer.measured("rate 1", n).content)) for n in range(5)] == [False] * 3 + [True] * 2


def test_a_prompt_that_stands_earlier_in_the_files_is_marked() -> None:
    shapes = (Shape(0, 1, "a"), Shape(0, 1, "a", repeated=True))
    writer = PromptWriter(Mix((PromptSet(shapes),), (1.0,)), IDS, 0, spans={"rate 1": Span(0, 2)})
    assert writer.measured("rate 1", 0).content == "a"
    assert str(writer.measured("rate 1", 1).content).startswith("a [")
    warm = PromptWriter(Mix((PromptSet(shapes),), (1.0,)), IDS, 0, cold=False)
    assert warm.measured("rate 1", 1).content == "a"


def test_a_dataset_stands_after_the_shared_prefix_in_words() -> None:
    writer = numbered(3, {"rate 1": Span(0, 9)}, shared_prefix_tokens=4)
    words = str(writer.measured("rate 1", 2).content).split(" ")
    assert words == [*(WORDS[unit % len(WORDS)] for unit in Random("0 prefix").choices(range(256), k=4)), "p2"]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_prefix_stands_before_the_first_message_and_the_mark_after_the_last(count: int) -> None:
    shapes = (Shape(0, 1, tuple((f"role{n}", f"text{n}") for n in range(count))),)
    writer = PromptWriter(Mix((PromptSet(shapes),), (1.0,)), IDS, 0, shared_prefix_tokens=1)
    content = writer.measured("rate 1", 0).content
    assert isinstance(content, tuple)
    assert [role for role, _ in content] == [f"role{n}" for n in range(count)]
    texts = [text for _, text in content]
    assert ["text0" in texts[0].split(" ")[1:2], f"text{count - 1} [" in texts[-1]] == [True, True]
    assert texts[1:-1] == [f"text{n}" for n in range(1, count - 1)]


# ── traces that say what their prompts share ──────────────────────────────────────────────────


def block(number: int) -> list[int]:
    return Random(f"0 block {number}").choices(range(256), k=512)


def test_a_traces_prompt_is_its_blocks_then_what_is_drawn_then_its_number_and_mark(tmp_path: Path) -> None:
    found = ids(PromptWriter(trace(tmp_path, 600, [7]), IDS, 0))
    assert found[:512] == block(7)
    assert found[-7:-4] == [0, 0, 0]
    assert len(found) == 600


def test_blocks_are_cut_where_the_prompt_ends(tmp_path: Path) -> None:
    found = ids(PromptWriter(trace(tmp_path, 520, [7, 8, 9]), IDS, 0, cold=False))
    assert found == [*block(7), *block(8)][:520]
    cold = ids(PromptWriter(trace(tmp_path, 520, [7, 8, 9]), IDS, 0))
    assert cold[:-7] == [*block(7), *block(8)][:513]


def test_a_traces_prompt_without_blocks_begins_with_its_number(tmp_path: Path) -> None:
    assert ids(PromptWriter(trace(tmp_path, 40, [], []), IDS, 0), index=1)[:3] == [1, 0, 0]


# ── mixes ─────────────────────────────────────────────────────────────────────────────────────


def test_a_mix_has_the_longest_answer_of_its_parts_and_the_prompts_of_its_smallest_dataset() -> None:
    small, large = (PromptSet(tuple(Shape(0, n, f"p{n}") for n in range(1, size))) for size in (3, 5))
    both = Mix((*mix("D(9,3)", "U(1,2)/(2,9)").sources, large, small), (1.0,) * 4)
    assert (both.most_output_tokens, both.prompts) == (9, 2)
    assert (mix("D(9,3)").most_output_tokens, mix("D(9,3)").prompts) == (3, None)
    assert mix("N(9,1)/(10.2,2.5)").most_output_tokens == 16, "at two standard deviations, rounded up"
    assert mix("N(9,1)/(1,0)").most_output_tokens == 1


def test_a_single_source_needs_no_draw_and_several_are_drawn_by_weight() -> None:
    rng = Random(1)
    state = rng.getstate()
    assert mix("D(9,3)").shape(rng, 0, 0) == Shape(9, 3)
    assert rng.getstate() == state
    never = Mix(mix("D(9,3)", "D(8,2)").sources, (0.0, 1.0))
    assert {never.shape(rng, n, n) for n in range(20)} == {Shape(8, 2)}


def test_prompts_that_are_alike_in_two_datasets_are_known_as_repeated(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("".join(json.dumps({"prompt": p, "output_tokens": 1}) + "\n" for p in "aba"), encoding="utf-8")
    opened = open_mix([SourceSpec("dataset", str(path)), SourceSpec("dataset", str(path))], 0)
    shapes = [[shape.repeated for shape in one.shapes] for one in opened.sources if isinstance(one, PromptSet)]
    assert [sum(of_one) for of_one in shapes] == [1, 3]
