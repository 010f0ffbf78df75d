"""Files of prompts and of recorded requests: lines, forms of others, and what is said of what can't be read."""

from __future__ import annotations

import gzip
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autotuner.benchmark.traffic.datasets import read_dataset, read_trace
from autotuner.benchmark.traffic.workload import check_workload
from autotuner.errors import WorkloadError
from autotuner.study.model import Dataset, Workload

BREAKS = "\u2028\u2029\u0085\x0b\x0c\x1c\x1d\x1e"


def prompts(*texts: str) -> list[dict[str, Any]]:
    return [{"prompt": text, "output_tokens": 7} for text in texts]


def read_prompts(path: Path) -> set[object]:
    return {shape.content for shape in read_dataset(str(path), 0).shapes}


def written(tmp_path: Path, content: str | bytes, name: str = "file.jsonl") -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refusal(read: Callable[[], object]) -> WorkloadError:
    with pytest.raises(WorkloadError) as caught:
        read()
    return caught.value


# ── lines ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("character", BREAKS)
def test_only_a_line_feed_ends_a_line(tmp_path: Path, character: str) -> None:
    texts = [f"a{character}b", "c"]
    lines = [json.dumps(one, ensure_ascii=character in "\x0b\x0c\x1c\x1d\x1e") for one in prompts(*texts)]
    assert read_prompts(written(tmp_path, "\n".join(lines))) == set(texts)


@pytest.mark.parametrize("character", "\u2028\u2029\u0085")
def test_the_number_of_a_line_counts_line_feeds_alone(tmp_path: Path, character: str) -> None:
    first, second = (json.dumps(one, ensure_ascii=False) for one in prompts(f"a{character}b", "c"))
    error = refusal(lambda: read_dataset(str(written(tmp_path, f"{first}\n{second}\n{{oops")), 0))
    assert f"{tmp_path / 'file.jsonl'}, line 3: {{oops: one JSON object a line" in error.message


@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("between", ["\n", "\r\n", "\n\n", "\r\n \t\r\n"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
def test_marks_and_empty_lines_are_no_records(tmp_path: Path, start: str, between: str, end: str) -> None:
    lines = [json.dumps(one) for one in prompts("a", "b")]
    assert read_prompts(written(tmp_path, start + between.join(lines) + end)) == {"a", "b"}


def test_a_json_array_and_a_table_of_our_own_records_are_read(tmp_path: Path) -> None:
    assert read_prompts(written(tmp_path, json.dumps(prompts("a", "b"), indent=1))) == {"a", "b"}
    table = 'prompt,output_tokens\r\n"say ""hi"",\r\nthen stop",7\r\nb,8\r\n'
    assert read_prompts(written(tmp_path, table, "file.csv")) == {'say "hi",\r\nthen stop', "b"}
    trace = read_trace(str(written(tmp_path, "timestamp_s,input_tokens,output_tokens\n1.5,10,3\n2,20,4\n", "t.csv")))
    assert trace.timestamps_s == (0.0, 0.5)
    assert [(shape.input_tokens, shape.output_tokens) for shape in trace.shapes] == [(10, 3), (20, 4)]


@pytest.mark.parametrize(
    ("content", "place", "found", "rule"),
    [
        (b"", "", "an empty file", "at least one line"),
        (b"\n \n", "", "an empty file", "at least one line"),
        (b"[]", "", "an empty list", "at least one record"),
        (b'{"prompt": "a", "output_tokens": 1}\n\n[1]', ", line 3", "[1]", "one JSON object a line"),
        (b'[{"prompt": "a", "output_tokens": 1}, 2]', ", item 2", "2", "one JSON object a line"),
        (b'[\n{"prompt": "a"\n"b"}]', ", line 3", "", "one JSON object a line"),
        (b"hello", ", line 1", "hello", "one JSON object a line, or the header of a table"),
        (b"prompt,output_tokens\na,1\nb\n", ", line 3", "1 values", "2 values, as the header has names"),
        (b"prompt,output_tokens\n", "", "a header alone", "at least one line after it"),
        (b'{"prompt": "a", "output_tokens": 1}\n{"prompt": "\xff"}', ", line 2", "byte 0xff", "UTF-8 text"),
        (gzip.compress(b"{}", mtime=0), "", "gzip", "gunzip"),
        (b"PAR1\x00", "", "Parquet", "read_parquet"),
        ("{}".encode("utf-16"), "", "UTF-16 text", "iconv"),
    ],
)
def test_what_is_no_file_of_records_is_told_with_its_place(
    tmp_path: Path, content: bytes, place: str, found: str, rule: str
) -> None:
    path = written(tmp_path, content)
    error = refusal(lambda: read_dataset(str(path), 0))
    assert error.message.startswith(f"workload.scenario.dataset: {path}{place}: ")
    assert found in error.message
    assert rule in (error.rule or "")
    assert error.key == "workload.scenario.dataset"


def test_a_long_line_is_shown_in_part(tmp_path: Path) -> None:
    error = refusal(lambda: read_dataset(str(written(tmp_path, "{" + "x" * 10_000)), 0))
    assert len(error.message) < 400


# ── forms of others ───────────────────────────────────────────────────────────────────────────


def conversation(*turns: tuple[str, str]) -> dict[str, Any]:
    return {"id": "x", "conversations": [{"from": who, "value": text} for who, text in turns]}


@pytest.mark.parametrize("as_lines", [True, False])
def test_sharegpt(tmp_path: Path, as_lines: bool) -> None:
    talks = [
        conversation(("human", "hi"), ("gpt", "x" * 41), ("human", "and?"), ("gpt", "y")),
        conversation(("system", "be kind"), ("user", "ho"), ("assistant", "ö")),
        conversation(("gpt", "first of all"), ("human", "what?")),
        conversation(("human", "no answer")),
        conversation(("human", "\ud800"), ("gpt", "\ud800")),
        conversation(),
    ]
    text = "\n".join(map(json.dumps, talks)) if as_lines else json.dumps(talks, indent=2)
    read = read_dataset(str(written(tmp_path, text)), 0)
    assert {(shape.content, shape.output_tokens) for shape in read.shapes} == {("hi", 11), ("ho", 1), ("\ud800", 1)}
    assert any("bytes, divided by 4" in text for text in read.told)
    assert any("3 of 6 are left out" in text for text in read.told)


def test_sharegpt_in_the_words_of_openai(tmp_path: Path) -> None:
    turns = [{"role": role, "content": text} for role, text in (("system", "s"), ("user", "q"), ("assistant", "a" * 8))]
    data = read_dataset(str(written(tmp_path, json.dumps({"conversations": turns}))), 0)
    assert [(shape.content, shape.output_tokens) for shape in data.shapes] == [("q", 2)]


def test_mooncake(tmp_path: Path) -> None:
    lines = [
        {"timestamp": 27000, "input_length": 6758, "output_length": 500, "hash_ids": [0, 1]},
        {"timestamp": 30500, "input_length": 7322, "output_length": 490, "hash_ids": [0, 2]},
    ]
    trace = read_trace(str(written(tmp_path, "\n".join(map(json.dumps, lines)))))
    assert trace.timestamps_s == (0.0, 3.5)
    assert [(shape.input_tokens, shape.output_tokens) for shape in trace.shapes] == [(6758, 500), (7322, 490)]
    assert [shape.blocks for shape in trace.shapes] == [(0, 1), (0, 2)]
    assert trace.told == ()


def test_burstgpt_without_the_requests_that_failed(tmp_path: Path) -> None:
    table = (
        "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
        "5,ChatGPT,472,18,490,Conversation log\n45,ChatGPT,1087,0,1087,Conversation log\n"
        "118,GPT-4,417,276,693,API log\n"
    )
    trace = read_trace(str(written(tmp_path, table, "BurstGPT.csv")))
    assert trace.timestamps_s == (0.0, 113.0)
    assert [(shape.input_tokens, shape.output_tokens) for shape in trace.shapes] == [(472, 18), (417, 276)]
    assert trace.told == ("BurstGPT trace: 1 of 3 are left out: they failed when they were recorded (0 tokens)",)


@pytest.mark.parametrize(
    "times",
    [
        ("2023-11-16 18:17:03.9799600", "2023-11-16 18:17:04.0319600"),
        ("2024-05-10 23:59:59.990000+00:00", "2024-05-11 00:00:00.042000+00:00"),
    ],
)
def test_azure(tmp_path: Path, times: tuple[str, str]) -> None:
    table = f"TIMESTAMP,ContextTokens,GeneratedTokens\r\n{times[0]},374,44\r\n{times[1]},396,109\r\n"
    trace = read_trace(str(written(tmp_path, table, "azure.csv")))
    assert trace.timestamps_s == pytest.approx((0.0, 0.052))
    assert [(shape.input_tokens, shape.output_tokens) for shape in trace.shapes] == [(374, 44), (396, 109)]


def test_vidur(tmp_path: Path) -> None:
    table = "arrived_at,num_prefill_tokens,num_decode_tokens\n0.25,374,44\n1.5,396,109\n"
    assert read_trace(str(written(tmp_path, table, "t.csv"))).timestamps_s == (0.0, 1.25)


def test_seconds_since_1970_count_from_the_first(tmp_path: Path) -> None:
    lines = [{"timestamp_s": 1_753_863_105 + at, "input_tokens": 20, "output_tokens": 4} for at in (0.0, 0.4, 1.1)]
    trace = read_trace(str(written(tmp_path, "\n".join(map(json.dumps, lines)))))
    assert trace.timestamps_s == pytest.approx((0.0, 0.4, 1.1), abs=1e-6)


def test_milliseconds_since_1970_are_refused_with_what_they_should_be(tmp_path: Path) -> None:
    line = {"timestamp_s": 1_753_863_105_000, "input_tokens": 20, "output_tokens": 4}
    error = refusal(lambda: read_trace(str(written(tmp_path, json.dumps(line)))))
    assert "1753863105.000" in error.message


@pytest.mark.parametrize(
    ("line", "name", "becomes"),
    [
        ({"prompt": "a"}, "prompts alone", {"prompt", "output_tokens"}),
        ({"text": "a"}, "texts alone", {"prompt", "output_tokens"}),
        ({"messages": []}, "chat messages alone", {"messages", "output_tokens"}),
        ({"instruction": "a", "input": "", "output": "b"}, "Alpaca", {"prompt", "output_tokens"}),
        ({"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {}}, "OpenAI batch", {"messages"}),
    ],
)
@pytest.mark.parametrize("in_array", [True, False])
def test_a_form_that_says_too_little_is_refused_with_its_name_and_what_converts_it(
    tmp_path: Path, line: dict[str, Any], name: str, becomes: set[str], in_array: bool
) -> None:
    path = written(tmp_path, json.dumps([line] if in_array else line), "my file.json")
    error = refusal(lambda: read_dataset(str(path), 0))
    assert name in error.message
    words = shlex.split((error.rule or "").partition("convert it: ")[2])
    assert words[:2] == ["jq", "-c"]
    assert words[3:] == [str(path), ">", "my file.own.jsonl"]
    assert words[2].startswith(".[] | {") is in_array
    assert all(key in words[2] for key in becomes)


def test_records_of_no_known_form_are_told_with_their_keys_and_what_they_should_have(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps({"question": "q", "answer": "a"}))
    error = refusal(lambda: read_dataset(str(path), 0))
    assert error.message.endswith(
        "line 1: the keys question, answer: a dataset's records have prompt or messages, and output_tokens"
    )
    path = written(tmp_path, json.dumps({"when": 1, "input_tokens": 3}))
    assert "records have timestamp_s, input_tokens and output_tokens" in refusal(lambda: read_trace(str(path))).message


def test_one_record_that_holds_all_is_unwrapped(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps({"version": 1, "my data": prompts("a", "b")}))
    rule = str(refusal(lambda: read_dataset(str(path), 0)).rule)
    assert rule.startswith("a record a line: jq -c ")
    assert shlex.split(rule.partition(": ")[2])[2] == '."my data"[]'


def test_a_timestamp_of_no_unit_is_asked_for(tmp_path: Path) -> None:
    line = {"timestamp": 5, "input_tokens": 20, "output_tokens": 4}
    assert "seconds or milliseconds" in refusal(lambda: read_trace(str(written(tmp_path, json.dumps(line))))).message


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ({"prompt": "a", "output_tokens": 1}, "dataset"),
        ({"conversations": []}, "dataset"),
        ({"timestamp_s": 0, "input_tokens": 1, "output_tokens": 1}, "trace"),
        ({"timestamp": 0, "input_length": 1, "output_length": 1}, "trace"),
    ],
)
def test_a_dataset_is_no_trace_and_a_trace_no_dataset(tmp_path: Path, line: dict[str, Any], kind: str) -> None:
    path = str(written(tmp_path, json.dumps(line)))
    error = refusal(lambda: read_trace(path) if kind == "dataset" else read_dataset(path, 0))
    assert f"give it as {{{kind}: FILE}}" in error.message


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        ({"timestamp": 0, "input_length": 1, "output_length": 1}, {"timestamp": 1, "input_length": 1}, "output_length"),
        ({"timestamp": 0, "input_length": 1, "output_length": 1},
         {"timestamp": "x", "input_length": 1, "output_length": 1}, "timestamp_s is a number"),
        ({"timestamp": 0, "input_length": 1, "output_length": 1},
         {"timestamp": 10**400, "input_length": 1, "output_length": 1}, "timestamp_s is a number"),
        ({"timestamp": 9, "input_length": 1, "output_length": 1},
         {"timestamp": 8, "input_length": 1, "output_length": 1}, "never falls"),
    ],
)  # fmt: skip
def test_a_bad_line_of_another_form_is_named(
    tmp_path: Path, first: dict[str, Any], second: dict[str, Any], told: str
) -> None:
    path = written(tmp_path, f"{json.dumps(first)}\n{json.dumps(second)}\n")
    error = refusal(lambda: read_trace(str(path)))
    assert f"{path}, line 2: " in error.message
    assert told in error.message


def test_what_was_estimated_is_told_by_the_workload(tmp_path: Path) -> None:
    path = written(tmp_path, json.dumps([conversation(("human", "a"), ("gpt", "b"))]))
    assert check_workload(Workload(scenario=Dataset(dataset=str(path)))).told
