"""Scenario texts, datasets and traces: what they mean and how bad ones are refused."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from autotuner.benchmark.traffic.datasets import read_dataset, read_trace
from autotuner.benchmark.traffic.scenario import Fixed, Normal, Uniform, parse_scenario
from autotuner.benchmark.traffic.workload import check_workload
from autotuner.errors import WorkloadError
from autotuner.study.model import Dataset, Trace, TraceLoad, WeightedScenario, Workload


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("D(1000,200)", Fixed(1000, 200)),
        (" d( 10 , 2 ) ", Fixed(10, 2)),
        ("N(480,240)/(300,150)", Normal(480, 240, 300, 150)),
        ("N(480.5,0)/(300,1.5)", Normal(480.5, 0, 300, 1.5)),
        ("U(50,100)/(200,250)", Uniform(50, 100, 200, 250)),
    ],
)
def test_scenario_is_read(text: str, expected: object) -> None:
    assert parse_scenario(text) == expected


@pytest.mark.parametrize(
    ("text", "rule", "nearest"),
    [
        ("", "one of", "D(1000,200)"),
        ("X(1,2)", "one of", "D(1000,200)"),
        ("D(1000;200)", "D(input", "D(1000,200)"),
        ("D(1000)", "D(input", None),
        ("D(0,5)", "whole numbers from 1", None),
        ("D(1.5,5)", "whole numbers from 1", None),
        ("N(10,2)", "N(mean,sd)", None),
        ("N(10,2),(5,1)", "N(mean,sd)", "N(10,2)/(5,1)"),
        ("N(0,2)/(5,1)", "at least 1", None),
        ("U(9,5)/(1,2)", "min is at most max", None),
        ("U(1,2)/(3,2)", "min is at most max", None),
        ("D(10,1000000001)", "at most 1,000,000,000", None),
        (f"N({'9' * 400},1)/(5,1)", "at most 1,000,000,000", None),
    ],
)
def test_bad_scenario_names_key_value_and_rule(text: str, rule: str, nearest: str | None) -> None:
    with pytest.raises(WorkloadError) as caught:
        parse_scenario(text)
    assert caught.value.key == "workload.scenario"
    assert caught.value.value == text
    assert rule in (caught.value.rule or "")
    assert caught.value.nearest == nearest


def test_distributions_keep_their_parameters() -> None:
    rng = Random(1)
    normal = [parse_scenario("N(100,10)/(50,5)").shape(rng, i, i) for i in range(4000)]
    assert sum(s.input_tokens for s in normal) / 4000 == pytest.approx(100, rel=0.02)
    assert sum(s.output_tokens for s in normal) / 4000 == pytest.approx(50, rel=0.02)
    uniform = [parse_scenario("U(3,5)/(7,8)").shape(rng, i, i) for i in range(200)]
    assert {s.input_tokens for s in uniform} == {3, 4, 5}
    assert {s.output_tokens for s in uniform} == {7, 8}
    wide = [parse_scenario("N(2,50)/(2,50)").shape(rng, i, i) for i in range(200)]
    assert min(s.input_tokens for s in wide) == min(s.output_tokens for s in wide) == 1


def write_lines(path: Path, *lines: object) -> str:
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return str(path)


def test_dataset_order_is_the_seeds(tmp_path: Path) -> None:
    lines = [{"prompt": f"p{i}", "output_tokens": i + 1} for i in range(20)]
    path = write_lines(tmp_path / "d.jsonl", *lines)
    one, again, other = read_dataset(path, 1), read_dataset(path, 1), read_dataset(path, 2)
    assert one == again
    assert one != other
    assert {shape.content for shape in other.shapes} == {f"p{i}" for i in range(20)}
    assert one.shape(Random(0), 0, 0) == one.shape(Random(0), 0, 20)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("{", "one JSON object a line"),
        ([1], "one JSON object a line"),
        ({"output_tokens": 3}, "either prompt"),
        ({"prompt": "a", "messages": [{"role": "user", "content": "b"}], "output_tokens": 3}, "either prompt"),
        ({"messages": [{"role": "user"}], "output_tokens": 3}, "either prompt"),
        ({"prompt": "a"}, "output_tokens is a whole number from 1"),
        ({"prompt": "a", "output_tokens": True}, "output_tokens is a whole number from 1"),
    ],
)
def test_bad_dataset_line_is_named(tmp_path: Path, line: object, rule: str) -> None:
    path = write_lines(tmp_path / "d.jsonl", {"prompt": "good", "output_tokens": 1}, line)
    with pytest.raises(WorkloadError, match="line 2") as caught:
        read_dataset(path, 0)
    assert rule in (caught.value.rule or "")


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ({"timestamp_s": -1, "input_tokens": 1, "output_tokens": 1}, "seconds from 0"),
        ({"timestamp_s": 0.5, "input_tokens": 1, "output_tokens": 1}, "never falls"),
        ({"timestamp_s": 10**400, "input_tokens": 1, "output_tokens": 1}, "seconds from 0"),
        ({"timestamp_s": 2, "input_tokens": 0, "output_tokens": 1}, "input_tokens is a whole number from 1"),
        ({"timestamp_s": 2, "input_tokens": 10**10, "output_tokens": 1}, "at most 1,000,000,000"),
    ],
)
def test_bad_trace_line_is_named(tmp_path: Path, line: object, rule: str) -> None:
    good = {"timestamp_s": 1.0, "input_tokens": 5, "output_tokens": 6}
    with pytest.raises(WorkloadError, match="line 2") as caught:
        read_trace(write_lines(tmp_path / "t.jsonl", good, line))
    assert rule in (caught.value.rule or "")


def test_missing_and_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError, match="can be read"):
        read_trace(str(tmp_path / "none.jsonl"))
    with pytest.raises(WorkloadError, match="at least one line"):
        read_dataset(write_lines(tmp_path / "empty.jsonl"), 0)


def test_rules_between_workload_keys(tmp_path: Path) -> None:
    chat = write_lines(tmp_path / "d.jsonl", {"messages": [{"role": "user", "content": "hi"}], "output_tokens": 2})
    trace = write_lines(tmp_path / "t.jsonl", {"timestamp_s": 0, "input_tokens": 5, "output_tokens": 6})
    bad = [
        (Workload(), "workload.scenario"),
        (Workload(scenario="D(1,1)", scenarios=[WeightedScenario(scenario="D(1,1)")]), "workload.scenarios"),
        (Workload(scenario="D(10,1)", shared_prefix_tokens=10), "workload.shared_prefix_tokens"),
        (Workload(scenario="D(10,1)", load=TraceLoad(speed=[1.0])), "workload.load.speed"),
        (Workload(scenario=Dataset(dataset=chat)), "workload.api"),
        (Workload(scenarios=[WeightedScenario(scenario="D(1,1)"), WeightedScenario(scenario="D(1)")]),
         "workload.scenarios[1].scenario"),
    ]  # fmt: skip
    for workload, key in bad:
        with pytest.raises(WorkloadError) as caught:
            check_workload(workload)
        assert caught.value.key == key
    check_workload(Workload(scenario=Dataset(dataset=chat), api="chat"))
    check_workload(Workload(scenario=Trace(trace=trace), load=TraceLoad(speed=[2.0])))
