"""What a workload's keys mean together, at every edge."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from autotuner.benchmark.traffic.datasets import read_dataset, read_trace
from autotuner.benchmark.traffic.mix import SourceSpec
from autotuner.benchmark.traffic.scenario import MOST_TOKENS, Fixed, Normal, Shape, Uniform, parse_scenario
from autotuner.benchmark.traffic.workload import check_workload, source_specs, trace_timestamps
from autotuner.errors import WorkloadError
from autotuner.study.model import Workload


def workload(**keys: Any) -> Workload:
    return Workload.model_validate(keys)


def written(tmp_path: Path, *records: dict[str, Any], name: str = "f.jsonl") -> str:
    path = tmp_path / name
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return str(path)


def at(second: object, **more: Any) -> dict[str, Any]:
    return {"timestamp_s": second, "input_tokens": 5, "output_tokens": 6, **more}


def refused(text: str) -> str:
    with pytest.raises(WorkloadError) as caught:
        parse_scenario(text)
    return caught.value.rule or ""


# ── scenarios ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "scenario"),
    [
        ("D(1,1)", Fixed(1, 1)),
        (f"D({MOST_TOKENS},1)", Fixed(10**9, 1)),
        ("N(1,0)/(1,0)", Normal(1, 0, 1, 0)),
        ("U(1,1)/(2,2)", Uniform(1, 1, 2, 2)),
    ],
)
def test_the_least_and_the_most_that_a_scenario_may_be(text: str, scenario: object) -> None:
    assert parse_scenario(text) == scenario


@pytest.mark.parametrize("text", ["N(0.9,0)/(1,0)", "N(1,0)/(0.9,0)"])
def test_means_are_at_least_1(text: str) -> None:
    assert "mean token counts are at least 1" in refused(text)


@pytest.mark.parametrize("text", ["D(0,1)", "D(1,0)", "D(1.5,1)", "U(0,1)/(1,1)", "U(1,1)/(1,2.5)"])
def test_counts_are_whole_numbers_from_1(text: str) -> None:
    assert refused(text) == "token counts are whole numbers from 1"


def test_more_than_the_most_is_refused_wherever_it_stands() -> None:
    assert "at most 1,000,000,000" in refused(f"N(5,{MOST_TOKENS + 1})/(5,1)")


@pytest.mark.parametrize(
    ("text", "nearest"),
    [
        ("D 5 6", "D(5,6)"),
        ("D(5,6,7)", None),
        ("N 1 2 3 4", "N(1,2)/(3,4)"),
        ("U[1,2]/[3,4]", "U(1,2)/(3,4)"),
        ("U(1,2)", None),
        ("N(1,2,3)", None),
        ("D(1,2)/(3,4)", None),
    ],
)
def test_the_scenario_that_the_numbers_would_make_is_named(text: str, nearest: str | None) -> None:
    with pytest.raises(WorkloadError) as caught:
        parse_scenario(text)
    assert caught.value.nearest == nearest
    assert (f"did you mean {nearest}" in caught.value.message) is (nearest is not None)


def test_lengths_of_a_normal_distribution_are_rounded_and_at_least_1() -> None:
    assert Normal(7.6, 0, 0.2, 0).shape(Random(0), 0, 0) == Shape(8, 1)


# ── sources ───────────────────────────────────────────────────────────────────────────────────


def test_each_source_is_known_by_its_kind_and_weight(tmp_path: Path) -> None:
    assert source_specs(workload(scenario="D(5,6)")) == (SourceSpec("scenario", "D(5,6)", 1.0),)
    parts = [
        {"scenario": {"dataset": "d.jsonl"}, "weight": 0.7},
        {"scenario": {"trace": "t.jsonl"}, "weight": 0.3},
        {"scenario": "D(5,6)"},
    ]
    assert [(spec.kind, spec.weight) for spec in source_specs(workload(scenarios=parts))] == [
        ("dataset", 0.7),
        ("trace", 0.3),
        ("scenario", 1.0),
    ]


@pytest.mark.parametrize(
    ("scenario", "prefix", "rule"),
    [
        ("D(10,1)", 9, ""),
        ("D(10,1)", 10, "fewer than the 10 input tokens"),
        ("U(8,20)/(1,1)", 7, ""),
        ("U(8,20)/(1,1)", 8, "fewer than the 8 input tokens"),
        ("N(8.5,3)/(1,1)", 8, ""),
        ("N(8,3)/(1,1)", 8, "fewer than the 8 input tokens"),
    ],
)
def test_a_shared_prefix_is_a_part_of_the_shortest_prompt(scenario: str, prefix: int, rule: str) -> None:
    given = workload(scenario=scenario, shared_prefix_tokens=prefix)
    if not rule:
        check_workload(given)
        return
    with pytest.raises(WorkloadError, match=rule) as caught:
        check_workload(given)
    assert caught.value.key == "workload.shared_prefix_tokens"


def test_a_prefix_before_prompts_of_a_file_has_no_bound(tmp_path: Path) -> None:
    path = written(tmp_path, {"prompt": "a", "output_tokens": 1})
    check_workload(workload(scenario={"dataset": path}, shared_prefix_tokens=500))


def test_each_part_of_a_mix_is_checked(tmp_path: Path) -> None:
    path = written(tmp_path, {"messages": [{"role": "user", "content": "a"}], "output_tokens": 1})
    parts = [{"scenario": "D(5,6)"}, {"scenario": {"dataset": path}}]
    with pytest.raises(WorkloadError, match="needs api: chat"):
        check_workload(workload(scenarios=parts))
    check_workload(workload(scenarios=parts, api="chat"))
    with pytest.raises(WorkloadError, match="of which the prefix is a part"):
        check_workload(workload(scenarios=parts, api="chat", shared_prefix_tokens=5))


def test_a_load_by_speed_needs_one_trace(tmp_path: Path) -> None:
    path = written(tmp_path, at(100), at(103))
    load = {"speed": [1]}
    assert trace_timestamps(workload(scenario={"trace": path}, load=load)) == (0, 3)
    assert trace_timestamps(workload(scenarios=[{"scenario": {"trace": path}}], load=load)) == (0, 3)
    two = [{"scenario": {"trace": path}}, {"scenario": {"trace": path}}]
    for bad in (workload(scenarios=two, load=load), workload(scenario="D(5,6)", load=load)):
        with pytest.raises(WorkloadError, match="a load by speed needs one scenario, a trace"):
            check_workload(bad)
    check_workload(workload(scenario="D(5,6)"))


# ── lines ─────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (at(True), "timestamp_s is a number"),
        (at("1"), "timestamp_s is a number"),
        (at(-0.1), "timestamp_s is a number"),
        ({"timestamp_s": None, "input_tokens": 5, "output_tokens": 6}, "timestamp_s is a number"),
        (at(1e11 + 100), "divide it by 1000"),
        (at(1, input_tokens=0), "input_tokens is a whole number from 1"),
        (at(1, output_tokens=1.5), "output_tokens is a whole number from 1"),
        (at(1, output_tokens=True), "output_tokens is a whole number from 1"),
        (at(1, input_tokens=MOST_TOKENS + 1), "at most 1,000,000,000"),
        (at(1, hash_ids=5), "hash_ids is a list of whole numbers"),
        (at(1, hash_ids=[1, "2"]), "hash_ids is a list of whole numbers"),
        (at(1, hash_ids=[True]), "hash_ids is a list of whole numbers"),
    ],
)
def test_a_line_of_a_trace_that_cannot_be_is_refused(tmp_path: Path, line: dict[str, Any], rule: str) -> None:
    with pytest.raises(WorkloadError, match="line 2") as caught:
        read_trace(written(tmp_path, at(0), line))
    assert rule in (caught.value.rule or "")


def test_the_first_two_lines_of_a_trace_are_in_order_too(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match=r"line 2: 1\.0: timestamp_s never falls, and the line before has 2"):
        read_trace(written(tmp_path, at(2), at(1), at(9)))


def test_lines_at_the_same_time_and_the_largest_numbers_are_fine(tmp_path: Path) -> None:
    trace = read_trace(written(tmp_path, at(0), at(0), at(1e11, input_tokens=MOST_TOKENS, hash_ids=[0, 5])))
    assert trace.timestamps_s == (0, 0, 1e11)
    assert trace.shapes[2] == Shape(MOST_TOKENS, 6, blocks=(0, 5))
    assert trace.most_output_tokens == 6


@pytest.mark.parametrize(
    "line",
    [
        {"prompt": "", "output_tokens": 1},
        {"prompt": 5, "output_tokens": 1},
        {"messages": [], "output_tokens": 1},
        {"messages": {"role": "user", "content": "a"}, "output_tokens": 1},
        {"messages": ["a"], "output_tokens": 1},
        {"messages": [{"role": 5, "content": "a"}], "output_tokens": 1},
        {"messages": [{"role": "user", "content": None}], "output_tokens": 1},
        {"messages": [{"role": "user", "content": "a"}, {"role": "user"}], "output_tokens": 1},
        {"prompt": "a", "messages": [], "output_tokens": 1},
        {"prompt": 5, "messages": [{"role": "user", "content": "a"}], "output_tokens": 1},
    ],
)
def test_a_line_of_a_dataset_has_a_prompt_or_messages(tmp_path: Path, line: dict[str, Any]) -> None:
    with pytest.raises(WorkloadError, match="line 2") as caught:
        read_dataset(written(tmp_path, {"prompt": "a", "output_tokens": 1}, line), 0)
    assert caught.value.rule == "either prompt (text) or messages (a list of {role, content})"


def test_of_prompts_and_messages_the_model_alone_knows_the_tokens(tmp_path: Path) -> None:
    message = {"role": "user", "content": "b"}
    lines = ({"prompt": "a", "output_tokens": 2}, {"messages": [message], "output_tokens": 3})
    found = read_dataset(written(tmp_path, *lines), 0).shapes
    assert set(found) == {Shape(0, 2, "a"), Shape(0, 3, (("user", "b"),))}


def test_after_the_last_line_the_first_comes_again(tmp_path: Path) -> None:
    """A dataset goes on over all levels, a trace begins anew in each."""
    prompts = read_dataset(written(tmp_path, *({"prompt": p, "output_tokens": n} for n, p in enumerate("ab", 1))), 0)
    assert [prompts.shape(Random(0), 0, position) for position in range(3)] == [*prompts.shapes, prompts.shapes[0]]
    trace = read_trace(written(tmp_path, at(0), at(1, output_tokens=9), name="t.jsonl"))
    assert [trace.shape(Random(0), index, 0).output_tokens for index in range(3)] == [6, 9, 6]
    assert (prompts.most_output_tokens, trace.most_output_tokens) == (2, 9)
