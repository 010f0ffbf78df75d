"""Forms in which others keep prompts and traces: which record of each becomes what, and which is left out."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from autotuner.benchmark.traffic.datasets import read_dataset, read_trace
from autotuner.benchmark.traffic.scenario import Shape
from autotuner.errors import WorkloadError


def written(tmp_path: Path, *records: Any, name: str = "f.jsonl") -> str:
    path = tmp_path / name
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return str(path)


def talk(*turns: tuple[str, Any], words: tuple[str, str] = ("from", "value")) -> dict[str, Any]:
    return {"conversations": [dict(zip(words, turn, strict=True)) for turn in turns]}


GOOD = talk(("human", "q"), ("gpt", "a"))


@pytest.mark.parametrize(
    ("record", "asked"),
    [
        (talk(("human", "hi"), ("gpt", "12345678")), ("hi", 2)),
        (talk(("human", "hi"), ("gpt", "123456789")), ("hi", 3)),
        (talk(("human", "hi"), ("gpt", "é" * 4)), ("hi", 2)),  # by bytes
        (talk(("user", "hi"), ("assistant", "a")), ("hi", 1)),
        (talk(("user", "hi"), ("model", "a"), words=("role", "content")), ("hi", 1)),
        (talk(("system", "s"), ("human", "hi"), ("bard", "a"), ("human", "more")), ("hi", 1)),
        (talk(("system", "s"), ("human", "hi")), None),
        (talk(("gpt", "a"), ("human", "hi")), None),
        (talk(("human", "hi"), ("human", "ho")), None),
        (talk(("human", ""), ("gpt", "a")), None),
        (talk(("human", "hi"), ("gpt", "")), None),
        (talk(("human", "hi"), ("gpt", 5)), None),
        (talk(("human", "hi")), None),
        ({"conversations": "none"}, None),
        ({"conversations": ["hi", "a"]}, None),
        ({"conversations": [{"from": "human", "value": "hi"}, "a"]}, None),
        ({"conversations": []}, None),
    ],
)
def test_the_first_question_of_a_talk_is_asked_for_as_many_tokens_as_its_answer_has_bytes_over_four(
    tmp_path: Path, record: dict[str, Any], asked: tuple[str, int] | None
) -> None:
    read = read_dataset(written(tmp_path, GOOD, record), 0)
    found = {(shape.content, shape.output_tokens) for shape in read.shapes} - {("q", 1)}
    assert found == ({asked} if asked else set())
    told = "ShareGPT dataset: 1 of 2 are left out: they begin with no question and answer"
    assert (told in read.told) is (asked is None)
    assert read.told[0].startswith("ShareGPT dataset: each first question is asked for")


def test_a_file_of_which_nothing_can_be_sent_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError) as caught:
        read_dataset(written(tmp_path, talk(), talk()), 0)
    assert "2 of 2 are left out: they begin with no question and answer" in caught.value.message
    assert caught.value.rule == "at least one that can be sent"
    failed = {"Timestamp": 1, "Request tokens": 5, "Response tokens": 0}
    with pytest.raises(WorkloadError, match="1 of 1 are left out: they failed when they were recorded"):
        read_trace(written(tmp_path, failed))


@pytest.mark.parametrize(
    ("records", "times", "shapes"),
    [
        ([{"timestamp": 1000, "input_length": 5, "output_length": 6},
          {"timestamp": 2500.0, "input_length": 7, "output_length": 8, "hash_ids": [3]}],
         (0, 1.5), [Shape(5, 6), Shape(7, 8, blocks=(3,))]),
        ([{"Timestamp": 1, "Request tokens": 5, "Response tokens": 6},
          {"Timestamp": 2, "Request tokens": 0, "Response tokens": 6},
          {"Timestamp": 4, "Request tokens": 7, "Response tokens": 8}], (0, 3), [Shape(5, 6), Shape(7, 8)]),
        ([{"TIMESTAMP": "2024-01-01 00:00:00", "ContextTokens": 5, "GeneratedTokens": 6},
          {"TIMESTAMP": "2024-01-01 00:00:01", "ContextTokens": 5, "GeneratedTokens": 0},
          {"TIMESTAMP": "2024-01-01 02:00:02+02:00", "ContextTokens": 7, "GeneratedTokens": 8}],
         (0, 2), [Shape(5, 6), Shape(7, 8)]),
        ([{"arrived_at": 0.5, "num_prefill_tokens": 5, "num_decode_tokens": 6}], (0,), [Shape(5, 6)]),
    ],
    ids=["Mooncake", "BurstGPT", "Azure", "Vidur"],
)  # fmt: skip
def test_traces_of_others(tmp_path: Path, records: list[Any], times: tuple[float, ...], shapes: list[Shape]) -> None:
    trace = read_trace(written(tmp_path, *records))
    assert trace.timestamps_s == pytest.approx(times)
    assert list(trace.shapes) == shapes
    left_out = len(records) - len(shapes)
    assert (f"{left_out} of {len(records)} are left out" in " ".join(trace.told)) is bool(left_out)


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({"timestamp": True, "input_length": 5, "output_length": 6}, "True"),
        ({"timestamp": "now", "input_length": 5, "output_length": 6}, "now"),
        ({"TIMESTAMP": "some day", "ContextTokens": 5, "GeneratedTokens": 6}, "some day"),
        ({"TIMESTAMP": 5.5, "ContextTokens": "x", "GeneratedTokens": 6}, "x"),
    ],
)
def test_what_is_no_time_and_no_count_is_told_as_it_stands(tmp_path: Path, record: dict[str, Any], found: str) -> None:
    with pytest.raises(WorkloadError, match=found):
        read_trace(written(tmp_path, record))


def test_a_record_of_another_form_than_the_first_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    first = {"arrived_at": 0.5, "num_prefill_tokens": 5, "num_decode_tokens": 6}
    with pytest.raises(WorkloadError) as caught:
        read_trace(written(tmp_path, first, {"arrived_at": 1}))
    assert "line 2: no num_decode_tokens, num_prefill_tokens" in caught.value.message
    assert caught.value.rule == "a line of a Vidur trace has arrived_at, num_decode_tokens, num_prefill_tokens"


def refused(tmp_path: Path, *records: Any, trace: bool = False, name: str = "f.jsonl") -> WorkloadError:
    path = written(tmp_path, *records, name=name)
    with pytest.raises(WorkloadError) as caught:
        read_trace(path) if trace else read_dataset(path, 0)
    return caught.value


@pytest.mark.parametrize(
    ("record", "trace", "told"),
    [
        ({"prompt": "a", "output_tokens": 1}, True, "a dataset: is no trace: give it as {dataset: FILE}"),
        ({"messages": [], "output_tokens": 1}, True, "a dataset: is no trace: give it as {dataset: FILE}"),
        ({"timestamp_s": 1, "input_tokens": 1, "output_tokens": 1}, False, "a trace: is no dataset: give it as"),
        ({"prompt": "a"}, True, "prompts alone: is no trace"),
        ({"conversations": []}, True, "ShareGPT dataset: is no trace"),
        ({"arrived_at": 1, "num_prefill_tokens": 1, "num_decode_tokens": 1}, False, "Vidur trace: is no dataset"),
    ],
)
def test_a_file_of_the_other_kind_is_told_by_its_name(
    tmp_path: Path, record: dict[str, Any], trace: bool, told: str
) -> None:
    assert told in refused(tmp_path, record, trace=trace).message


def test_what_is_like_nothing_known_is_told_with_its_keys(tmp_path: Path) -> None:
    found = refused(tmp_path, {"a": 1, "b": 2})
    assert "line 1: the keys a, b: a dataset's records have prompt or messages, and output_tokens" in found.message
    found = refused(tmp_path, {"a": 1}, trace=True)
    assert "a trace's records have timestamp_s, input_tokens and output_tokens" in found.message


@pytest.mark.parametrize(("records", "unwrapped"), [(1, True), (2, False)])
def test_one_record_that_holds_a_list_is_to_be_unwrapped(tmp_path: Path, records: int, unwrapped: bool) -> None:
    found = refused(tmp_path, *[{"n": 1, "rows": [{"prompt": "a"}]}] * records, name="my data.json")
    assert ("one record that holds all under 'rows'" in found.message) is unwrapped
    if unwrapped:
        words = shlex.split(str(found.rule).removeprefix("a record a line: "))
        assert words == ["jq", "-c", '."rows"[]', str(tmp_path / "my data.json"), ">", "my data.own.jsonl"]


def test_a_form_that_says_too_little_is_told_with_what_it_does_not_say(tmp_path: Path) -> None:
    found = refused(tmp_path, {"instruction": "a", "output": "b"})
    assert "line 1: Alpaca instructions: does not say how long answers are (output_tokens); convert it: jq -c" in (
        found.message
    )
