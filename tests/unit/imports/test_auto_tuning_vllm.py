"""Studies of auto-tuning-vllm, on values worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from autotuner.errors import InputError
from autotuner.imports import ImportedStudy, import_study


def study(tmp_path: Path, **keys: Any) -> ImportedStudy:
    data = {"optimization": {"n_trials": 5}, "parameters": {}, **keys}
    data["benchmark"] = {"model": "org/model", **keys.get("benchmark", {})}
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump(data))
    return import_study(file)


def reasons(imported: ImportedStudy) -> dict[str, str]:
    return {item.key: item.reason for item in imported.not_converted}


@pytest.mark.parametrize(
    ("optimization", "objective"),
    [
        ({}, "throughput"),
        ({"preset": "high_throughput"}, "throughput"),
        ({"preset": "low_latency"}, "e2e_p95"),
        ({"preset": "balanced"}, ["throughput", "e2e_p50"]),
        ({"objective": "maximize"}, "throughput"),
        ({"objective": "minimize"}, "e2e_p50"),
        ({"objective": {"metric": "time_to_first_token_ms", "direction": "minimize", "percentile": "p99"}}, "ttft_p99"),
        ({"objective": {"metric": "inter_token_latency_ms", "direction": "minimize"}}, "tpot_p50"),
        ({"objectives": [{"metric": "requests_per_second", "direction": "maximize"}]}, "goodput"),
    ],
)
def test_objectives(optimization: dict[str, Any], objective: Any, tmp_path: Path) -> None:
    assert study(tmp_path, optimization={"n_trials": 5, **optimization}).study["objective"] == objective


@pytest.mark.parametrize(
    "optimization",
    [{"preset": "fast"}, {"sampler": "annealing"}, {"objective": {"metric": "power", "direction": "minimize"}}],
)
def test_what_they_do_not_know_either_is_refused(optimization: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^optimization\."):
        study(tmp_path, optimization=optimization)


@pytest.mark.parametrize(
    ("sampler", "algorithm"), [("tpe", "tpe"), ("grid", "grid"), ("nsga2", "nsga2"), ("gp", "tpe"), ("botorch", "tpe")]
)
def test_a_searcher_that_needs_pytorch_is_replaced_and_listed(sampler: str, algorithm: str, tmp_path: Path) -> None:
    told = study(tmp_path, optimization={"sampler": sampler})
    assert told.study["search"]["algorithm"] == algorithm
    assert ("optimization.sampler" in reasons(told)) == (sampler != algorithm)


def test_ranges_lists_and_fixed_values(tmp_path: Path) -> None:
    parameters = {
        "max_num_seqs": {"enabled": True, "min": 32, "max": 256, "step": 32},
        "gpu_memory_utilization": {"enabled": True, "min": 0.85, "max": 0.95, "step": 0.05},
        "kv_cache_dtype": {"enabled": True, "options": ["auto", "fp8"]},
        "max_num_batched_tokens": {"enabled": True, "min": 8192, "max": 8192, "step": 1024},
        "tensor_parallel_size": {"enabled": True, "options": [1, 2]},
        "enable_prefix_caching": {"enabled": True},
        "block_size": {"enabled": False, "options": [16]},
    }
    told = study(tmp_path, parameters=parameters, static_parameters={"max_model_len": 4096})
    assert told.study["space"] == {
        "parameters": {
            "max-num-seqs": {"int": [32, 256], "step": 32},
            "gpu-memory-utilization": {"float": [0.85, 0.95], "step": 0.05},
            "kv-cache-dtype": ["auto", "fp8"],
            "enable-prefix-caching": [True, False],
        },
        "parallelism": {"tp": [1, 2]},
    }
    assert told.study["engine"] == {"name": "vllm", "args": {"max-num-batched-tokens": 8192, "max-model-len": 4096}}
    assert "switched off" in reasons(told)["parameters.block_size"]


def test_cuda_graphs_are_eager_execution_turned_round(tmp_path: Path) -> None:
    parameters = {"enable_cuda_graphs": {"enabled": True, "options": [True]}}
    assert study(tmp_path, parameters=parameters).study["engine"]["args"] == {"enforce-eager": False}


def test_one_flag_is_not_searched_twice(tmp_path: Path) -> None:
    both = {"enforce_eager": {"options": [False]}, "enable_cuda_graphs": {"options": [True, False]}}
    told = study(tmp_path, parameters=both)
    assert told.study["engine"]["args"] == {"enforce-eager": False}
    assert "parameters.enable_cuda_graphs" in reasons(told)


def test_a_constraint_of_theirs_holds_where_it_is_not_above_zero(tmp_path: Path) -> None:
    parameters = {
        "max_num_seqs": {"enabled": True, "min": 32, "max": 256, "step": 32},
        "tensor_parallel_size": {"enabled": True, "options": [1, 2]},
    }
    told = study(tmp_path, parameters=parameters, constraints=["max_num_seqs * tensor_parallel_size - 128", "x; y"])
    assert told.study["space"]["constraints"] == ["max_num_seqs * tp - 128 <= 0"]
    assert "constraints" in reasons(told)


@pytest.mark.parametrize(
    ("benchmark", "workload"),
    [
        ({"prompt_tokens": 900, "output_tokens": 90, "rate": 7}, ("D(900,90)", [7])),
        ({}, ("D(1000,1000)", [50])),
        ({"prompt_tokens": 900, "prompt_tokens_stdev": 40, "output_tokens": 90}, ("N(900,40)/(90,0)", [50])),
        ({"tunables": {"rate": {"enabled": True, "min": 10, "max": 50, "step": 20}}}, ("D(1000,1000)", [10, 30, 50])),
        ({"dataset": "prompts.jsonl"}, ({"dataset": "prompts.jsonl"}, [50])),
        ({"dataset": "org/prompts"}, ("D(1000,1000)", [50])),
    ],
)
def test_workloads(benchmark: dict[str, Any], workload: tuple[Any, list[int]], tmp_path: Path) -> None:
    found = study(tmp_path, benchmark=benchmark).study["workload"]
    assert (found["scenario"], found["load"]["concurrency"]) == workload


def test_variables_are_not_read_and_secrets_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODEL", "from/the-environment")
    told = study(
        tmp_path,
        benchmark={"model": "${MODEL:-org/default}"},
        study={"database_url": "postgresql://me:hunter2@host/optuna"},
        static_environment_variables={"HF_TOKEN": "hunter3", "OMP_NUM_THREADS": 4, "CUDA_VISIBLE_DEVICES": "0"},
        parameters={"RAY_ADDRESS": {"options": ["a", "b"]}},
    )
    assert told.study["model"]["id"] == "org/default"
    assert told.study["engine"]["env"] == {"HF_TOKEN": {"from_env": "HF_TOKEN"}, "OMP_NUM_THREADS": "4"}
    assert "hunter" not in told.text + repr(told.not_converted)
    assert "static_environment_variables.CUDA_VISIBLE_DEVICES" in reasons(told)
    assert "parameters.RAY_ADDRESS.options" in reasons(told)


def test_their_baseline_becomes_trial_0(tmp_path: Path) -> None:
    parameters = {"max_num_seqs": {"enabled": True, "options": [64, 128]}}
    told = study(tmp_path, parameters=parameters, baseline={"parameters": {"max_num_seqs": 128, "block_size": 32}})
    assert told.study["search"]["baseline"] == {"max-num-seqs": 128}
    assert "baseline.parameters.block_size" in reasons(told)


def test_a_flag_that_is_gone_is_taken_out_and_listed(tmp_path: Path) -> None:
    parameters = {
        "no_such_flag": {"enabled": True, "options": [1, 2, 3]},
        "max_num_seqs": {"enabled": True, "options": [64, 128]},
    }
    told = study(tmp_path, parameters=parameters, constraints=["max_num_seqs - 100", "no_such_flag - 2"])
    assert told.study["space"] == {
        "parameters": {"max-num-seqs": [64, 128]},
        "constraints": ["max_num_seqs - 100 <= 0"],
    }
    listed = {item.key: item.value for item in told.not_converted}
    assert listed["parameters.no_such_flag.options"] == [1, 2, 3]
    assert listed["constraints"] == "no_such_flag - 2 <= 0"
