"""The rules that a model's memory makes, to the letter: each part as small as it can be, each limit as large.

Llama-3.1-8B has 14.9 GiB of weights (13.0 of them matrices) and 8,192 tokens a GiB of KV cache; Qwen3-30B-A3B 2.8 GiB
beside 54 of experts, and 10,923 tokens; DeepSeek-V3 17.7 beside 609.1, and 15,280.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.model_spaces import LLAMACPP, SGLANG, TRTLLM, VLLM, facts_of, rules_of

LLAMA, QWEN, DEEPSEEK = (facts_of(name) for name in ("llama-3.1-8b", "qwen3-30b-a3b", "deepseek-v3"))
AWQ = facts_of("qwen2.5-7b-awq")
GEMM, MOE = {"quant.gemm": ["auto", "fp8"]}, {"quant.moe": ["auto", "fp8", "nvfp4"]}
BOTH = "max(27 * (quant.gemm == 'fp8'), 27 * (quant.moe == 'fp8') + 40.5 * (quant.moe == 'nvfp4'))"
ROOM = "24 * 0.9 - 0.5"


def texts(facts: Any, parameters: dict[str, Any], traits: Any = VLLM, **known: Any) -> list[str]:
    return [rule.text for rule in rules_of(facts, parameters, traits, **known) if "GiB" in rule.reason]


def qwen(parameters: dict[str, Any], **known: Any) -> str:
    """The limit of its weights alone."""
    return texts(QWEN, parameters, memory_gib=24.0, max_model_len=64, gpu_memory=0.9, **known)[0]


# ── weights ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("parameters", "weights"),
    [
        ({"tp": [1, 2]}, "56.8 / tp"),
        ({"tp": [1, 2], "pp": [1, 2]}, "56.8 / (tp * pp)"),
        ({"tp": [1, 2], "dp": [1, 4]}, "2.8 / tp + 54 / (tp * dp)"),
        ({"tp": [2], "dp": [1, 4]}, "2.8 / 2 + 54 / (2 * dp)"),
        ({"cp": [1, 2]}, "2.8 + 54 / cp"),
        (GEMM, "(56.8 - 27.9 * (quant.gemm == 'fp8'))"),
        ({"tp": [1, 2], **GEMM}, "(56.8 - 27.9 * (quant.gemm == 'fp8')) / tp"),
        (
            {"dp": [1, 4], **GEMM},
            "(2.8 - 0.9 * (quant.gemm == 'fp8')) + (54 - 27 * (quant.gemm == 'fp8')) / dp",
        ),
        ({**GEMM, **MOE}, f"(56.8 - 0.9 * (quant.gemm == 'fp8') - {BOTH})".replace(f"- {BOTH}", f"- ({BOTH})")),
        ({"dp": [1, 4], **GEMM, **MOE}, f"(2.8 - 0.9 * (quant.gemm == 'fp8')) + (54 - ({BOTH})) / dp"),
        ({**GEMM, "quant.moe": ["fp8"]}, "(29.8 - 0.9 * (quant.gemm == 'fp8'))"),
        ({"quant.gemm": ["fp8"], "quant.moe": ["auto", "nvfp4"]}, "(29 - 13.5 * (quant.moe == 'nvfp4'))"),
        ({"quant.gemm": ["fp8"]}, "29"),
    ],
)
def test_weights_are_split_by_their_ranks_and_lessened_by_their_formats(
    parameters: dict[str, Any], weights: str
) -> None:
    assert qwen(parameters) == f"{weights} <= {ROOM}"


def test_where_data_parallelism_is_of_attention_alone_it_splits_nothing() -> None:
    known = {"memory_gib": 24.0, "gpu_memory": 0.9, "tokens": 64}
    assert texts(QWEN, {"tp": [1, 2], "dp": [1, 2]}, SGLANG, **known)[0] == f"56.8 / tp <= {ROOM}"


def test_a_quantised_checkpoint_stays_as_it_is_but_for_another_one() -> None:
    known = {"memory_gib": 5.0, "gpu_memory": 0.9, "max_model_len": 64}
    assert texts(AWQ, GEMM, **known)[0] == "5.1 <= 5 * 0.9 - 0.5"
    plain = replace(AWQ, weight_format=None)
    searched = {"quant.gemm": ["auto", "awq"]}
    assert texts(plain, searched, variants={"awq": AWQ}, **known)[0] == (
        "(14.1 - 9 * (quant.gemm == 'awq')) <= 5 * 0.9 - 0.5"
    )


def test_a_format_or_a_checkpoint_of_which_nothing_is_known_takes_a_quarter() -> None:
    """Of the matrices for a format; of all for a checkpoint whose files are not there."""
    known = {"memory_gib": 8.0, "gpu_memory": 0.9, "max_model_len": 64}
    searched = {"quant.gemm": ["auto", "strange"]}
    assert texts(LLAMA, searched, **known)[0] == "(14.9 - 9.8 * (quant.gemm == 'strange')) <= 8 * 0.9 - 0.5"
    unknown = replace(LLAMA, counts=None, weight_bytes=16 * 2**30)
    assert texts(unknown, searched, **known) == ["(16 - 12 * (quant.gemm == 'strange')) <= 8 * 0.9 - 0.5"]


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        ({"gpu_memory": 0.9}, "10 * 0.9 - 0.5"),
        ({"gpu_memory": 1}, "10 * 1 - 0.5"),
        ({}, "10 - 0.5"),
        ({"gpu_memory": None}, "10 - 0.5"),
        ({"gpu_memory": True}, "10 - 0.5"),
        ({"gpu_memory": "most"}, "10 - 0.5"),
    ],
)
def test_the_limit_is_the_gpus_memory_less_the_least_that_else_is_there(given: dict[str, Any], limit: str) -> None:
    assert texts(LLAMA, {}, memory_gib=10.0, max_model_len=64, **given)[0] == f"14.9 <= {limit}"


@pytest.mark.parametrize(
    ("facts", "traits", "known"),
    [
        (LLAMA, VLLM, {"max_model_len": 64}),
        (LLAMA, LLAMACPP, {"memory_gib": 1.0}),
        (replace(LLAMA, counts=None), VLLM, {"memory_gib": 1.0, "max_model_len": 64}),
        (LLAMA, VLLM, {"memory_gib": 1.0, "offload": 4}),
    ],
    ids=["memory not known", "weights may be elsewhere", "weights not known", "offloaded"],
)
def test_without_a_limit_or_weights_there_is_no_rule(facts: Any, traits: Any, known: dict[str, Any]) -> None:
    assert texts(facts, {}, traits, **known) == []


def test_offloading_counts_where_any_value_asks_for_it() -> None:
    known = {"memory_gib": 1.0, "max_model_len": 64}
    assert texts(LLAMA, {"offload": [0, 4]}, **known) == []
    assert texts(LLAMA, {"offload": [0, None]}, **known) != []


# ── the cache ─────────────────────────────────────────────────────────────────────────────────


def cache(facts: Any, parameters: dict[str, Any], traits: Any = VLLM, **known: Any) -> str:
    """What the rule of weights and cache says beside the weights."""
    found = texts(facts, parameters, traits, **{"memory_gib": 8.0, **known})[-1]
    return found.split(" + ")[-1].partition(" <= ")[0] if traits.fraction_of == "gpu" else found


@pytest.mark.parametrize(
    ("parameters", "known", "amount"),
    [
        ({}, {"max_model_len": 4096}, "4096 / 8192"),
        ({}, {"max_model_len": None}, "131072 / 8192"),
        ({}, {"max_model_len": -1, "tokens": 100}, "100 / 8192"),
        ({}, {"max_model_len": True, "tokens": 100}, "100 / 8192"),
        ({"max-model-len": [4096, 8192]}, {}, "max_model_len / 8192"),
        ({"tp": [1, 2]}, {"max_model_len": 4096}, "4096 / 8192 / tp"),
        ({"tp": [1, 8]}, {"max_model_len": 4096}, "4096 / 8192 / tp"),
        ({"tp": [1, 16]}, {"max_model_len": 4096}, "4096 / 8192 / min(tp, 8)"),
        ({"tp": [2], "pp": [1, 2]}, {"max_model_len": 4096}, "4096 / 8192 / (2 * pp)"),
        ({"pp": [1, 2]}, {"max_model_len": 4096}, "4096 / 8192 / pp"),
    ],
)
def test_the_cache_of_one_request_is_split_by_its_heads_and_stages(
    parameters: dict[str, Any], known: dict[str, Any], amount: str
) -> None:
    assert cache(LLAMA, parameters, **known) == amount


def test_a_latent_cache_is_split_by_decode_context_parallelism_alone_or_by_all_of_it() -> None:
    degrees = {"tp": [8], "dcp": [1, 8], "cp": [1, 2]}
    assert cache(DEEPSEEK, degrees, max_model_len=4096) == "4096 / 15280 / dcp"
    assert cache(DEEPSEEK, degrees, TRTLLM, tokens=4096, gpu_memory=0.9) == (
        "4096 / 15280 / (dcp * cp) <= (8 - 0.5 - (626.9 / (8 * cp))) * 0.9"
    )
    assert cache(DEEPSEEK, {"tp": [8]}, TRTLLM, tokens=4096) == "4096 / 15280 <= 8 - 0.5 - (626.9 / 8)"


def test_without_a_length_or_a_growing_cache_the_weights_alone_are_judged() -> None:
    assert len(texts(LLAMA, {}, SGLANG, memory_gib=8.0, max_model_len=4096)) == 1
    assert len(texts(LLAMA, {}, SGLANG, memory_gib=8.0, tokens=4096)) == 2
    assert len(texts(replace(LLAMA, full_attention_layers=0), {}, memory_gib=8.0, max_model_len=4096)) == 1


@pytest.mark.parametrize(
    ("parameters", "known", "amount"),
    [
        ({"quant.kv_cache": ["fp8"]}, {}, "4096 / (8192 * 2)"),
        ({"quant.kv_cache": ["bfloat16"]}, {}, "4096 / 8192"),
        ({"quant.kv_cache": ["float32"]}, {}, "4096 / 8192"),
        ({"quant.kv_cache": ["auto", "bfloat16"]}, {}, "4096 / 8192"),
        ({"quant.kv_cache": ["auto", "fp8"]}, {}, "4096 / (8192 * (1 + (quant.kv_cache == 'fp8')))"),
        (
            {"quant.kv_cache": ["auto", "fp8", "fp8_e5m2", "nvfp4"]},
            {},
            "4096 / (8192 * (1 + (quant.kv_cache in ['fp8', 'fp8_e5m2']) + 3 * (quant.kv_cache == 'nvfp4')))",
        ),
    ],
)
def test_smaller_numbers_take_less_of_the_cache(parameters: dict[str, Any], known: dict[str, Any], amount: str) -> None:
    found = texts(LLAMA, parameters, memory_gib=8.0, max_model_len=4096, **known)[-1]
    assert found == f"14.9 + {amount} <= 8 - 0.5"


def test_a_checkpoint_that_asks_for_a_small_cache_has_it_where_nothing_else_is_said() -> None:
    own = facts_of("qwen3-32b-fp8-modelopt")
    known = {"memory_gib": 8.0, "max_model_len": 4096}
    assert texts(own, {}, **known)[-1].endswith("+ 4096 / (4096 * 2) <= 8 - 0.5")
    searched = texts(own, {"quant.kv_cache": ["auto", "nvfp4", "bfloat16"]}, **known)[-1]
    assert "(1 + (quant.kv_cache == 'auto') + 3 * (quant.kv_cache == 'nvfp4'))" in searched


# ── in words ──────────────────────────────────────────────────────────────────────────────────


def test_what_is_told_of_a_rule() -> None:
    weights, beside = rules_of(LLAMA, {"tp": [1]}, memory_gib=8.0, max_model_len=None)
    assert weights.reason == "weights of 14.9 GiB must fit into a GPU of 8 GiB"
    assert beside.reason == (
        "beside weights of 14.9 GiB a GPU of 8 GiB must hold the KV cache of one request of 131072 tokens "
        "(max_model_len is not set)"
    )
    quantised = rules_of(LLAMA, GEMM, memory_gib=6.0, max_model_len=64)[0].reason
    assert quantised == "weights of 14.9 GiB, or less where they are quantised, must fit into a GPU of 6 GiB"
    searched = rules_of(LLAMA, {"max-model-len": [64, 128]}, memory_gib=6.0)[-1].reason
    assert searched.endswith("one request of max_model_len tokens")
    asked = rules_of(LLAMA, {}, SGLANG, memory_gib=6.0, tokens=70)[-1].reason
    assert asked.endswith("one request of 70 tokens")
