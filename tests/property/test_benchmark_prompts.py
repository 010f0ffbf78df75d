"""Prompts and arrivals as functions of seed, level and index."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autotuner.benchmark.traffic.arrivals import REPEAT_OFFSET, due_times, poisson_gaps, trace_gaps
from autotuner.benchmark.traffic.mix import Mix, SourceSpec, open_mix
from autotuner.benchmark.traffic.prompts import PromptWriter, Span
from autotuner.benchmark.traffic.sizing import WORDS, Sizing, TextSizing, TokenIdSizing

IDS = TokenIdSizing(3, 259)
SIZINGS: list[Sizing] = [IDS, TokenIdSizing(1000, 1010), TextSizing(1.0, 0.0)]


def mix(*scenarios: str) -> Mix:
    return open_mix([SourceSpec("scenario", text) for text in scenarios], 0)


def test_words_differ() -> None:
    assert len(set(WORDS)) == len(WORDS) > 200
    assert {len(word) for word in WORDS} == {4}


@given(st.sampled_from(SIZINGS), st.integers(0, 5), st.integers(12, 60))
def test_no_two_cold_prompts_are_alike(sizing: Sizing, seed: int, tokens: int) -> None:
    """Over levels, indices, warm-up requests and rungs."""
    writer = PromptWriter(mix(f"D({tokens},4)"), sizing, seed)
    levels = ["concurrency 1", "concurrency 8", "rate 8"]
    prompts = [writer.measured(level, index) for level in levels for index in range(40)]
    prompts += [writer.warmup(level, first, slot) for level in levels for first in (0, 5) for slot in range(8)]
    texts = [str(prompt.content) for prompt in prompts]
    assert len(set(texts)) == len(texts)


@given(st.integers(0, 2**24 - 1), st.integers(0, 2**24 - 1))
def test_even_the_first_tokens_of_a_level_differ(one: int, other: int) -> None:
    """Three ids of 256 tell any two of 2^24 requests apart: no cached start is long."""
    writer = PromptWriter(mix("D(3,1)"), IDS, 0)
    alike = writer.measured("rate 1", one).content == writer.measured("rate 1", other).content
    assert alike == (one == other)


@given(st.integers(1, 400), st.integers(0, 50), st.integers(0, 3))
def test_token_ids_are_exact_and_in_range(tokens: int, index: int, added: int) -> None:
    writer = PromptWriter(mix(f"D({tokens},9)"), TokenIdSizing(3, 259, added), 1)
    prompt = writer.measured("rate 1", index)
    assert isinstance(prompt.content, list)
    assert len(prompt.content) == max(1, tokens - added)
    assert all(3 <= unit < 259 for unit in prompt.content)
    assert prompt.output_tokens == 9


@given(st.floats(0.5, 6.0), st.floats(0, 30), st.integers(100, 2000))
def test_text_has_the_wanted_tokens_to_half_a_word(per_word: float, added: float, tokens: int) -> None:
    writer = PromptWriter(mix(f"D({tokens},1)"), TextSizing(per_word, added), 1)
    text = writer.measured("rate 1", 0).content
    assert isinstance(text, str)
    assert abs(added + per_word * len(text.split(" ")) - tokens) <= per_word / 2 + 1e-6


@given(st.integers(0, 9), st.integers(0, 1000))
def test_same_seed_same_prompt_other_seed_other_prompt(seed: int, index: int) -> None:
    scenarios = mix("N(100,20)/(20,5)", "U(5,9)/(1,3)")
    one, again = PromptWriter(scenarios, IDS, seed), PromptWriter(scenarios, IDS, seed)
    other = PromptWriter(scenarios, IDS, seed + 1)
    assert one.measured("rate 1", index) == again.measured("rate 1", index)
    assert one.measured("rate 1", index) != other.measured("rate 1", index)


def test_shared_prefix_is_the_same_in_every_prompt_and_part_of_its_length() -> None:
    writer = PromptWriter(mix("D(50,4)"), IDS, 3, shared_prefix_tokens=40)
    prompts = [writer.measured(level, i).content for level in ("rate 1", "rate 2") for i in range(20)]
    assert {len(p) for p in prompts} == {50}
    assert len({str(p[:40]) for p in prompts}) == 1
    assert len({str(p[40:]) for p in prompts}) == 40


def dataset(tmp_path: Path, texts: list[str]) -> Mix:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"prompt": text, "output_tokens": 4}) + "\n" for text in texts))
    return open_mix([SourceSpec("dataset", str(path))], 0)


LEVELS = ("concurrency 1", "concurrency 8", "rate 2")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    size=st.integers(1, 30),
    doubles=st.integers(0, 3),
    spans=st.lists(st.integers(0, 40), min_size=3, max_size=3),
    seed=st.integers(0, 3),
)
def test_what_a_datasets_prompts_share_stays(
    tmp_path: Path, size: int, doubles: int, spans: list[int], seed: int
) -> None:
    """A prompt that is new goes out as it is; one that was sent before differs at its end alone."""
    texts = [f"the system prompt of all; question {n}" for n in range(size)]
    mix = dataset(tmp_path, texts + texts[:doubles])
    starts = [sum(spans[:n]) for n in range(3)]
    writer = PromptWriter(
        mix,
        IDS,
        seed,
        spans={level: Span(*span) for level, span in zip(LEVELS, zip(starts, spans, strict=True), strict=True)},
    )
    sent = [writer.measured(level, n).content for level in LEVELS for n in (*range(40), 10_000_000, 20_000_000)]
    sent += [writer.warmup(level, first, slot).content for level in LEVELS for first in (0, 7) for slot in range(8)]
    assert len(set(map(str, sent))) == len(sent)
    assert all(any(str(content).startswith(text) for text in texts) for content in sent)
    known = min(size, sum(spans))  # each prompt of the file goes out once as it stands there
    assert sum(content in texts for content in sent[: 3 * 42]) <= known
    if doubles == 0 and spans[0] >= size:
        assert set(texts) <= set(map(str, sent))


def test_the_levels_share_a_dataset_out(tmp_path: Path) -> None:
    writer = PromptWriter(
        dataset(tmp_path, [f"q{n}" for n in range(12)]),
        IDS,
        0,
        spans={"concurrency 1": Span(0, 5), "concurrency 2": Span(5, 7)},
    )
    sent = [writer.measured("concurrency 1", n).content for n in range(5)]
    sent += [writer.measured("concurrency 2", n).content for n in range(7)]
    assert sorted(map(str, sent)) == sorted(f"q{n}" for n in range(12))


def test_messages_are_marked_at_their_end(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    messages = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
    path.write_text(json.dumps({"messages": messages, "output_tokens": 2}))
    mix = open_mix([SourceSpec("dataset", str(path))], 0)
    writer = PromptWriter(mix, IDS, 0, spans={"rate 1": Span(0, 9)})
    assert writer.measured("rate 1", 0).content == (("system", "be brief"), ("user", "hello"))
    again = writer.measured("rate 1", 1).content
    assert isinstance(again, tuple)
    assert again[0] == ("system", "be brief")
    assert again[1][1].startswith("hello [")


def test_no_prompt_is_new_to_a_server_that_others_use(tmp_path: Path) -> None:
    writer = PromptWriter(dataset(tmp_path, ["a", "b"]), IDS, 0, spans={"rate 1": Span(0, 0)})
    assert all(str(writer.measured("rate 1", n).content)[1:3] == " [" for n in range(2))


def test_one_prompt_in_two_datasets_is_one(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps({"prompt": "alone", "output_tokens": 4}))
    mix = open_mix([SourceSpec("dataset", str(path))] * 2, 0)
    writer = PromptWriter(mix, IDS, 0, spans={"rate 1": Span(0, 50)})
    sent = [str(writer.measured("rate 1", n).content) for n in range(20)]
    assert len(set(sent)) == len(sent)
    assert all(text.startswith("alone") for text in sent)


ids = st.lists(st.integers(0, 3), max_size=3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    one=ids,
    other=ids,
    tokens=st.integers(20, 1800),
    sizing=st.sampled_from((IDS, TextSizing(1.0, 0.0))),
    cold=st.booleans(),
)
def test_prompts_of_a_trace_share_what_their_blocks_say(
    tmp_path: Path, one: list[int], other: list[int], tokens: int, sizing: Sizing, cold: bool
) -> None:
    path = tmp_path / "trace.jsonl"
    records = [{"timestamp_s": n, "input_tokens": tokens, "output_tokens": 2} for n in range(2)]
    path.write_text(
        "".join(json.dumps({**r, "hash_ids": i}) + "\n" for r, i in zip(records, (one, other), strict=True))
    )
    writer = PromptWriter(open_mix([SourceSpec("trace", str(path))], 0), sizing, 1, cold=cold)
    units = [_units(writer.measured("speed 1", n).content) for n in (0, 1, 2)]
    assert {len(u) for u in units} == {tokens if isinstance(sizing, TokenIdSizing) else sizing.units(tokens)}
    alike = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    marks = 7 if cold else 0
    shared = min(512 * alike, tokens - 10)
    assert units[0][:shared] == units[1][:shared]
    if cold:
        assert len({str(u) for u in units}) == 3  # the third is the first one again
    own = min(512 * len(one), tokens - marks - 3)
    assert units[0][:own] == units[2][:own]


def _units(content: object) -> list[object]:
    return [*content.split(" ")] if isinstance(content, str) else [*content]  # type: ignore[misc]


def test_warm_prompts_repeat_over_levels_and_are_warmed_up() -> None:
    writer = PromptWriter(mix("D(50,4)"), IDS, 3, cold=False)
    assert writer.measured("rate 1", 5) == writer.measured("rate 2", 5)
    assert writer.warmup("rate 1", 4, 1) == writer.measured("rate 1", 5)
    assert writer.measured("rate 1", 5) != writer.measured("rate 1", 6)


def test_mix_follows_its_weights() -> None:
    specs = [SourceSpec("scenario", "D(20,1)", 3.0), SourceSpec("scenario", "D(30,2)", 1.0)]
    writer = PromptWriter(open_mix(specs, 0), IDS, 0)
    answers = [writer.measured("rate 1", i).output_tokens for i in range(2000)]
    assert 0.70 < answers.count(1) / 2000 < 0.80


@given(st.floats(0.1, 100.0), st.integers(0, 30), st.integers(1, 30))
def test_rungs_continue_one_poisson_process(rate: float, first: int, count: int) -> None:
    whole = poisson_gaps(rate, 0, first + count, "s")
    assert poisson_gaps(rate, first, count, "s") == whole[first:]
    assert all(gap >= 0 for gap in whole)


def test_a_repeated_point_has_arrivals_of_its_own_at_once() -> None:
    once, again = (poisson_gaps(2.0, first, 50, "s") for first in (0, 11 * REPEAT_OFFSET))
    assert once != again
    assert poisson_gaps(2.0, 11 * REPEAT_OFFSET + 20, 30, "s") == again[20:]


def test_poisson_rate() -> None:
    due = due_times(poisson_gaps(5.0, 0, 5000, "s"), 2.0)
    assert 0.95 < (due[-1] - 2.0) / 1000.0 < 1.05


@given(st.lists(st.floats(0, 100), min_size=2, max_size=20).map(sorted), st.floats(0.1, 10), st.integers(0, 30))
def test_a_trace_keeps_its_gaps(times: list[float], speed: float, first: int) -> None:
    gaps = trace_gaps(times, speed, first, len(times))
    for offset, gap in enumerate(gaps):
        place = (first + offset) % len(times)
        if place:
            assert gap == (times[place] - times[place - 1]) / speed
