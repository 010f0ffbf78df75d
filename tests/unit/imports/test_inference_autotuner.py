"""Tasks of inference-autotuner, on values worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autotuner.errors import InputError
from autotuner.imports import ImportedStudy, import_study


def task(tmp_path: Path, **keys: Any) -> ImportedStudy:
    data: dict[str, Any] = {
        "task_name": "a task",
        "model": {"id_or_path": "org/model"},
        "base_runtime": "vllm",
        "parameters": {},
        "optimization": {},
        "benchmark": {"traffic_scenarios": ["D(10,5)"], "num_concurrency": [2]},
        **keys,
    }
    file = tmp_path / "task.json"
    file.write_text(json.dumps(data))
    return import_study(file)


def reasons(imported: ImportedStudy) -> dict[str, str]:
    return {item.key: item.reason for item in imported.not_converted}


def test_seconds_become_milliseconds(tmp_path: Path) -> None:
    slo = {
        "ttft": {"threshold": 0.35},
        "tpot": {"threshold": 0.05, "weight": 2.0},
        "latency": {"p50": {"threshold": 2}, "p90": {"threshold": 5.5, "hard_fail": True, "fail_ratio": 0.2}},
        "steepness": 0.2,
    }
    assert task(tmp_path, slo=slo).study["slo"] == {
        "ttft": {"mean": {"threshold_ms": 350}},
        "tpot": {"mean": {"threshold_ms": 50, "weight": 2.0}},
        "e2e": {
            "p50": {"threshold_ms": 2000},
            "p90": {"threshold_ms": 5500, "hard_fail": True, "fail_ratio": 0.2},
        },
        "steepness": 0.2,
    }


@pytest.mark.parametrize("threshold", [0, -1, "soon", True])
def test_a_threshold_is_a_time(threshold: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"slo\.ttft"):
        task(tmp_path, slo={"ttft": {"threshold": threshold, "weight": 1.0}})


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("minimize_latency", "e2e_mean"),
        ("maximize_throughput", "throughput"),
        ("minimize_ttft", "ttft_mean"),
        ("minimize_tpot", "tpot_mean"),
    ],
)
def test_objectives(theirs: str, ours: str, tmp_path: Path) -> None:
    assert task(tmp_path, optimization={"objective": theirs}).study["objective"] == ours


@pytest.mark.parametrize(("theirs", "ours"), [("grid_search", "grid"), ("bayesian", "tpe"), ("random", "random")])
def test_strategies_and_one_trial_more_for_the_default(theirs: str, ours: str, tmp_path: Path) -> None:
    study = task(tmp_path, optimization={"strategy": theirs, "max_iterations": 9}).study
    assert study["search"] == {"algorithm": ours, "trials": 10}


def test_one_value_is_an_argument_and_several_a_parameter(tmp_path: Path) -> None:
    given = {"tensor-parallel-size": [2], "max_num_seqs": [64], "gpu-memory-utilization": [0.8, 0.9, 0.8]}
    study = task(tmp_path, parameters=given).study
    assert study["space"] == {"parallelism": {"tp": [2]}, "parameters": {"gpu-memory-utilization": [0.8, 0.9]}}
    assert study["engine"] == {"name": "vllm", "args": {"max-num-seqs": 64}}


def test_ranges(tmp_path: Path) -> None:
    given = {
        "gpu-memory-utilization": {"type": "continuous", "low": 0.7, "high": 0.95},
        "max-num-seqs": {"type": "integer", "low": 16, "high": 256, "log": True},
    }
    assert task(tmp_path, parameters=given).study["space"]["parameters"] == {
        "gpu-memory-utilization": {"float": [0.7, 0.95]},
        "max-num-seqs": {"int": [16, 256], "log": True},
    }


def test_a_folder_name_becomes_the_hub_id_that_the_tokenizer_tells(tmp_path: Path) -> None:
    benchmark = {"traffic_scenarios": ["D(10,5)"], "num_concurrency": [1], "model_tokenizer": "Org/Llama-3.2-1B"}
    told = task(tmp_path, model={"id_or_path": "llama-3-2-1b"}, benchmark=benchmark)
    assert told.study["model"]["id"] == "Org/Llama-3.2-1B"
    assert "model.id_or_path" in reasons(told)
    other = task(tmp_path, model={"id_or_path": "mistral-7b"}, benchmark=benchmark)
    assert other.study["model"]["id"] == "mistral-7b"


def test_text_of_numbers_is_sent_as_numbers(tmp_path: Path) -> None:
    benchmark = {"traffic_scenarios": ["D(10,5)"], "num_concurrency": [1]}
    extra = {"temperature": "0.0", "top_k": "5", "stop": "END"}
    study = task(tmp_path, benchmark={**benchmark, "additional_params": extra}).study
    assert study["workload"]["extra_body"] == {"temperature": 0.0, "top_k": 5, "stop": "END"}


def test_what_the_load_sets_itself_is_told_and_left_out(tmp_path: Path) -> None:
    benchmark = {"traffic_scenarios": ["D(10,5)"], "num_concurrency": [1]}
    told = task(tmp_path, benchmark={**benchmark, "additional_params": {"max_tokens": 7, "top_k": 5}})
    assert told.study["workload"]["extra_body"] == {"top_k": 5}
    assert "benchmark.additional_params.max_tokens" in reasons(told)


def test_several_scenarios_are_a_mix_and_said_to_be(tmp_path: Path) -> None:
    told = task(tmp_path, benchmark={"traffic_scenarios": ["D(10,5)", "U(1,9)/(2,4)"], "num_concurrency": [4, 1, 4]})
    assert told.study["workload"]["scenarios"] == [
        {"scenario": "D(10,5)", "weight": 1.0},
        {"scenario": "U(1,9)/(2,4)", "weight": 1.0},
    ]
    assert told.study["workload"]["load"] == {"concurrency": [1, 4]}
    assert "mix" in reasons(told)["benchmark.traffic_scenarios"]


def test_a_scenario_that_a_study_lacks_is_listed(tmp_path: Path) -> None:
    told = task(tmp_path, benchmark={"traffic_scenarios": ["I(512,512)"], "num_concurrency": [1]})
    assert "benchmark.traffic_scenarios" in reasons(told)


@pytest.mark.parametrize(
    ("runtime", "engine"),
    [("vllm", "vllm"), ("sglang-llama-small", "sglang"), ("tensorrt-llm", "trtllm"), ("tensorrt_llm", "trtllm")],
)
def test_runtimes(runtime: str, engine: str, tmp_path: Path) -> None:
    assert task(tmp_path, base_runtime=runtime).study["engine"]["name"] == engine


def test_a_runtime_that_names_no_engine_is_said_to_be_sglang(tmp_path: Path) -> None:
    told = task(tmp_path, base_runtime="my-runtime", parameters={"mem_frac": {"type": "choice", "values": [0.8, 0.9]}})
    assert told.study["engine"]["name"] == "sglang"
    assert told.study["space"]["parameters"] == {"mem-fraction-static": [0.8, 0.9]}
    assert "base_runtime" in reasons(told)


def test_copies_of_a_model_are_no_parallelism_of_one_sglang_server(tmp_path: Path) -> None:
    told = task(tmp_path, base_runtime="sglang", parallel_config={"tp": [2, 4], "dp": [1, 2]})
    assert told.study["space"]["parallelism"] == {"tp": [2, 4]}
    assert "parallel_config.dp" in reasons(told)
    assert task(tmp_path, parallel_config={"tp": [2, 4], "dp": [1, 2]}).study["space"]["parallelism"] == {
        "tp": [2, 4],
        "dp": [1, 2],
    }


def test_formats_by_name_and_by_preset(tmp_path: Path) -> None:
    given = {"gemm_dtype": ["auto", "fp8"], "kvcache_dtype": "fp8", "moe_dtype": "auto"}
    space = task(tmp_path, quant_config=given).study["space"]
    assert space["quantization"] == {"gemm": ["auto", "fp8"], "kv_cache": ["fp8"]}
    told = task(tmp_path, quant_config={"presets": ["default", "kv-cache-fp8", "of-my-own"]})
    assert told.study["space"]["quantization"] == {"preset": ["default", "kv-cache-fp8"]}
    assert "quant_config.presets" in reasons(told)


def test_a_server_on_the_cpu_gets_no_gpu(tmp_path: Path) -> None:
    study = task(tmp_path, base_runtime="sglang", parameters={"device": ["cpu"]}).study
    assert study["hardware"] == {"gpus_per_server": 0}
