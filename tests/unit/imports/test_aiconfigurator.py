"""Experiments of aiconfigurator, on values worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from autotuner.engines import build_space
from autotuner.errors import InputError
from autotuner.imports import ImportedStudy, import_study
from autotuner.imports.aiconfigurator import SYSTEMS
from autotuner.study import load_study
from autotuner.study.hardware_profiles import hardware_profiles


def experiment(tmp_path: Path, **keys: Any) -> ImportedStudy:
    data = {"serving_mode": "agg", "model_path": "org/model", "system_name": "h200_sxm", **keys}
    return imported(tmp_path, {"exps": ["exp"], "exp": data})


def imported(tmp_path: Path, data: Any, name: str | None = None) -> ImportedStudy:
    file = tmp_path / "experiments.yaml"
    file.write_text(yaml.safe_dump(data, sort_keys=False))
    return import_study(file, experiment=name)


def reasons(found: ImportedStudy) -> dict[str, str]:
    return {item.key: item.reason for item in found.not_converted}


def degrees(found: ImportedStudy, tmp_path: Path, *names: str) -> set[tuple[Any, ...]]:
    """Every combination of parallelism that the study allows."""
    file = tmp_path / "study.yaml"
    file.write_text(found.text)
    space = build_space(load_study(file).study)
    return {tuple(config.values.get(name, 1) for name in names) for config in space.grid()}


def test_milliseconds_stay_milliseconds_and_hold_for_the_mean(tmp_path: Path) -> None:
    found = experiment(tmp_path, ttft=600, tpot=16.7).study["slo"]
    assert found == {"ttft": {"mean": {"threshold_ms": 600.0}}, "tpot": {"mean": {"threshold_ms": 16.7}}}


def test_what_is_left_out_has_their_defaults(tmp_path: Path) -> None:
    study = experiment(tmp_path).study
    assert study["slo"] == {"ttft": {"mean": {"threshold_ms": 1000.0}}, "tpot": {"mean": {"threshold_ms": 50.0}}}
    assert study["workload"]["scenario"] == "D(4000,1000)"
    assert study["engine"]["name"] == "trtllm"
    assert study["objective"] == "throughput_per_gpu"


def test_a_limit_on_the_whole_request_stands_alone(tmp_path: Path) -> None:
    found = experiment(tmp_path, request_latency=12000, isl=100, osl=20).study
    assert found["slo"] == {"e2e": {"mean": {"threshold_ms": 12000.0}}}
    assert found["workload"]["scenario"] == "D(100,20)"


def test_every_system_is_a_known_gpu_type() -> None:
    assert set(SYSTEMS.values()) <= {profile.name for profile in hardware_profiles()}


def test_a_system_that_is_not_known_is_listed(tmp_path: Path) -> None:
    found = experiment(tmp_path, system_name="gb200")
    assert "hardware" not in found.study
    assert "exp.system_name" in reasons(found)


def test_a_shared_prefix_is_kept_warm(tmp_path: Path) -> None:
    workload = experiment(tmp_path, prefix=512).study["workload"]
    assert (workload["shared_prefix_tokens"], workload["cache"]) == (512, "warm")


# ── parallelism: tp · pp · dp GPUs and moe_tp · moe_ep = tp · dp there ──────────────────────────

MOE: dict[str, Any] = {
    "agg_num_gpu_candidates": [4, 8],
    "agg_tp_candidates": [1, 4],
    "agg_dp_candidates": [1, 2, 8],
    "agg_pp_candidates": [1],
    "agg_moe_tp_candidates": [1],
    "agg_moe_ep_candidates": [4, 8],
}


def test_vllm_counts_as_aiconfigurator_does(tmp_path: Path) -> None:
    found = experiment(tmp_path, backend_name="vllm", total_gpus=8, **MOE)
    assert degrees(found, tmp_path, "tp", "dp", "ep") == {(4, 1, 4), (4, 2, 8), (1, 8, 8)}


def test_sglang_has_attention_copies_inside_tp(tmp_path: Path) -> None:
    found = experiment(tmp_path, backend_name="sglang", total_gpus=8, **MOE)
    assert degrees(found, tmp_path, "tp", "dp", "ep") == {(4, 1, 4), (8, 2, 8), (8, 8, 8)}


def test_trtllm_has_attention_copies_on_all_of_tp_or_on_none(tmp_path: Path) -> None:
    found = experiment(tmp_path, backend_name="trtllm", total_gpus=8, **MOE)
    assert degrees(found, tmp_path, "tp", "enable_attention_dp", "moe_tp", "moe_ep") == {
        (4, False, 1, 4),
        (8, True, 1, 8),
    }
    assert "exp.agg_dp_candidates" in reasons(found)


def test_a_dense_model_has_tp_alone(tmp_path: Path) -> None:
    dense = {"agg_tp_candidates": [1, 2, 4, 8], "agg_pp_candidates": [1, 2], "agg_dp_candidates": [1]}
    found = experiment(tmp_path, backend_name="vllm", total_gpus=4, **dense)
    assert degrees(found, tmp_path, "tp", "pp") == {(1, 1), (2, 1), (4, 1), (1, 2), (2, 2)}


# ── formats and flags ─────────────────────────────────────────────────────────────────────────


def test_formats_that_a_server_can_make_and_those_that_weights_have(tmp_path: Path) -> None:
    keys = {"gemm_quant_mode": "fp8_block", "kvcache_quant_mode": "fp8", "fmha_quant_mode": "bfloat16"}
    found = experiment(tmp_path, backend_name="vllm", **keys)
    assert found.study["space"]["quantization"] == {"kv_cache": ["fp8"]}
    assert "exp.gemm_quant_mode" in reasons(found)


@pytest.mark.parametrize(
    ("engine", "flags"),
    [
        ("vllm", {"speculative-config": {"method": "mtp", "num_speculative_tokens": 2}}),
        (
            "sglang",
            {
                "speculative-algorithm": "EAGLE",
                "speculative-num-steps": 2,
                "speculative-eagle-topk": 1,
                "speculative-num-draft-tokens": 3,
            },
        ),
        ("trtllm", {"speculative_config": {"decoding_type": "MTP", "num_nextn_predict_layers": 2}}),
    ],
)
def test_multi_token_prediction(engine: str, flags: dict[str, Any], tmp_path: Path) -> None:
    found = experiment(tmp_path, backend_name=engine, nextn=2, nextn_accepted=0.9)
    assert found.study["engine"]["args"] == flags
    assert "exp.nextn_accepted" in reasons(found)


# ── which experiment ──────────────────────────────────────────────────────────────────────────


def test_experiments_that_differ_in_the_engine_are_one_study(tmp_path: Path) -> None:
    one = {"serving_mode": "agg", "model_path": "org/model", "system_name": "l40s", "isl": 100, "osl": 10}
    data = {
        "fast": {**one, "backend_name": "vllm"},
        "other": {**one, "backend_name": "sglang", "database_mode": "SOL"},
        "longer": {**one, "backend_name": "trtllm", "osl": 99},
    }
    found = imported(tmp_path, data)
    assert found.study["engine"]["name"] == ["vllm", "sglang"]
    assert "--experiment" in reasons(found)["longer"]
    assert imported(tmp_path, data, "longer").study["workload"]["scenario"] == "D(100,99)"


def test_the_order_of_exps_and_one_server_come_first(tmp_path: Path) -> None:
    def one(mode: str, tokens: int) -> dict[str, Any]:
        prefix = "decode_" if mode == "disagg" else ""
        return {"serving_mode": mode, f"{prefix}model_path": "org/model", "isl": tokens}

    data = {"exps": ["d", "b", "a"], "a": one("agg", 1), "b": one("agg", 2), "d": one("disagg", 3)}
    assert imported(tmp_path, data).study["workload"]["scenario"] == "D(2,1000)"


def test_an_experiment_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one of exp"):
        imported(tmp_path, {"exp": {"serving_mode": "agg", "model_path": "m"}}, "expp")


def test_the_older_shape_says_the_same(tmp_path: Path) -> None:
    keys = {"serving_mode": "agg", "model_path": "org/model", "system_name": "h100_sxm", "backend_name": "vllm"}
    old = {
        **keys,
        "mode": "patch",
        "config": {
            "nextn": 1,
            "worker_config": {"tp_list": [1, 2], "kvcache_quant_mode": "fp8", "num_gpu_per_worker": [2]},
        },
    }
    new = {**keys, "nextn": 1, "agg_tp_candidates": [1, 2], "kvcache_quant_mode": "fp8", "agg_num_gpu_candidates": [2]}
    assert imported(tmp_path, {"exp": old}).study == imported(tmp_path, {"exp": new}).study


def test_prefill_and_decode_become_one_server_with_the_settings_of_decode(tmp_path: Path) -> None:
    roles = {
        f"{role}_{key}": value
        for role, tp in (("prefill", [1]), ("decode", [2, 4]))
        for key, value in {
            "model_path": "org/model",
            "system_name": "h100_sxm",
            "backend_name": "vllm",
            "tp_candidates": tp,
        }.items()
    }
    found = imported(tmp_path, {"exp": {"serving_mode": "disagg", **roles}})
    assert found.study["space"]["parallelism"] == {"tp": [2, 4]}
    assert {"exp.serving_mode", "exp.prefill_tp_candidates"} <= reasons(found).keys()
    assert "exp.prefill_model_path" not in reasons(found)


def test_a_result_folder_narrows_to_what_was_predicted_best() -> None:
    folder = Path(__file__).parent / "import_examples" / "aiconfigurator" / "result_vllm"
    study = import_study(folder).study
    assert study["space"]["parallelism"] == {"tp": [2, 4, 8]}  # of the candidates 1, 2, 4, 8
    assert study["workload"]["load"] == {"concurrency": [1, 9, 16]}
    assert study["slo"] == {"ttft": {"mean": {"threshold_ms": 600.0}}, "tpot": {"mean": {"threshold_ms": 20.0}}}
    alone = import_study(folder / "disagg").study
    assert alone["workload"]["load"] == {"concurrency": [15]}
    assert alone["space"]["parallelism"]["tp"] == [4]
