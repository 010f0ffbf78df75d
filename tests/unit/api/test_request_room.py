"""Requests that are longer than a study's own limits allow are refused, whatever is known of its model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autotuner.api.checking import check
from autotuner.benchmark import longest_request_tokens
from autotuner.errors import SpaceError
from autotuner.study.model import Workload
from tests.engine_studies import study

LENGTH_FLAGS = {"vllm": "max-model-len", "sglang": "context-length", "trtllm": "max_seq_len"}


@pytest.fixture(autouse=True)
def empty_hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


def unknown(name: str, scenario: Any = "D(1000,200)", **sections: Any) -> Any:
    workload = {"scenario": scenario, "load": {"concurrency": [1]}}
    return study(name, **{"model": {"id": "org/unknown"}, "workload": workload, **sections})


@pytest.mark.parametrize("engine", LENGTH_FLAGS)
def test_a_fixed_length_that_is_too_short_is_refused_and_the_least_named(engine: str) -> None:
    flag = LENGTH_FLAGS[engine]
    with pytest.raises(SpaceError, match="a request of the workload has 1200 tokens") as caught:
        check(unknown(engine, engine={"name": engine, "args": {flag: 1199}}))
    assert (caught.value.key, caught.value.value, caught.value.nearest) == (f"engine.args.{flag}", 1199, "1200")
    assert check(unknown(engine, engine={"name": engine, "args": {flag: 1200}})).count.number == 1


@pytest.mark.parametrize("engine", LENGTH_FLAGS)
@pytest.mark.parametrize("values", [[512, 600], {"int": [100, 1000]}])
def test_searched_lengths_that_are_all_too_short_are_refused(engine: str, values: Any) -> None:
    flag = LENGTH_FLAGS[engine]
    with pytest.raises(SpaceError, match="1200 tokens") as caught:
        check(unknown(engine, space={"parameters": {flag: values}}))
    assert (caught.value.key, caught.value.nearest) == (f"space.parameters.{flag}", "1200")


@pytest.mark.parametrize("engine", LENGTH_FLAGS)
def test_a_searched_length_that_is_too_short_is_left_out_by_name(engine: str) -> None:
    flag = LENGTH_FLAGS[engine]
    report = check(unknown(engine, space={"parameters": {flag: [512, 4096]}}))
    assert report.count.number == 1
    assert any(w.startswith(f"space.parameters.{flag}: 512: a request of the workload") for w in report.warnings)


def test_of_several_engines_each_is_judged_by_its_own_flag() -> None:
    sections: dict[str, Any] = {
        "engine": {"name": ["vllm", "sglang"], "args": {}, "per_engine": {"sglang": {"args": {"context-length": 64}}}},
        "model": {"id": "org/unknown"},
        "workload": {"scenario": "D(1000,200)"},
    }
    report = check(study(**sections))
    assert report.count.number == 1


@pytest.mark.parametrize(
    ("args", "fits"),
    [
        ({"ctx-size": 4800, "parallel": 4}, True),
        ({"ctx-size": 4799, "parallel": 4}, False),
        ({"ctx-size": 1200, "parallel": 4, "kv-unified": True}, True),
        ({"ctx-size": 1199, "parallel": 4, "kv-unified": True}, False),
        ({"ctx-size": 1199, "parallel": -1}, False),
        ({"ctx-size": 0, "parallel": 4}, True),
    ],
)
def test_llama_cpp_has_as_much_room_as_a_slot(args: dict[str, Any], fits: bool, tiny_model: Path) -> None:
    engine = {"name": "llamacpp", "args": args}
    given = unknown("llamacpp", engine=engine, model={"id": str(tiny_model)})
    if fits:
        assert check(given).count.number == 1
    else:
        with pytest.raises(SpaceError, match="more than one slot holds"):
            check(given)


def trace(path: Path, *sizes: tuple[int, int]) -> Path:
    lines = [{"timestamp_s": 0, "input_tokens": sent, "output_tokens": got} for sent, got in sizes]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_trace_whose_requests_are_too_long_is_refused(tmp_path: Path) -> None:
    file = trace(tmp_path / "t.jsonl", *[(2000, 10)] * 3, *[(20, 10)] * 40)
    with pytest.raises(SpaceError, match="2010 tokens"):
        check(unknown("vllm", {"trace": str(file)}, engine={"name": "vllm", "args": {"max-model-len": 1000}}))


def sizes(scenario: dict[str, str], per_level: int, error_rate: float) -> int | None:
    workload = {"scenario": scenario, "load": {"concurrency": [1]}, "requests": {"min": per_level, "per_slot": 1}}
    return longest_request_tokens(Workload.model_validate(workload), error_rate)


def test_so_few_that_the_study_forgives_them_do_not_count(tmp_path: Path) -> None:
    file = {"trace": str(trace(tmp_path / "t.jsonl", (900, 100), *[(20, 10)] * 99))}
    assert sizes(file, 100, 0.0) == 1000
    assert sizes(file, 100, 0.01) == 30  # one of a hundred
    assert sizes(file, 50, 0.01) == 1000  # one of the first fifty


def test_lines_that_a_trace_or_a_dataset_may_leave_out_do_not_count(tmp_path: Path) -> None:
    late = {"trace": str(trace(tmp_path / "t.jsonl", *[(20, 10)] * 60, (900, 100)))}
    assert sizes(late, 60, 0.0) == 30
    assert sizes(late, 61, 0.0) == 1000
    file = tmp_path / "d.jsonl"
    file.write_text('{"prompt": "a", "output_tokens": 99}\n' * 2 + '{"prompt": "a", "output_tokens": 9}\n' * 8)
    assert sizes({"dataset": str(file)}, 10, 0.0) == 100
    assert sizes({"dataset": str(file)}, 9, 0.0) == 100  # at least one of the two is sent
    assert sizes({"dataset": str(file)}, 8, 0.0) == 10
