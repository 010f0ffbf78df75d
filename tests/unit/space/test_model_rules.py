"""What a model's shape and its lengths ask of a space."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autotuner.errors import SpaceError
from autotuner.models.facts import WeightFormat
from autotuner.space import read_space
from tests.model_spaces import LLAMACPP, SGLANG, TRTLLM, VLLM, allowed, facts_of, rules_of, space_of

# ── shapes ────────────────────────────────────────────────────────────────────────────────────


def test_heads_are_divided() -> None:
    degrees = {"tp": [1, 2, 3, 4, 6, 8, 16, 32]}
    assert allowed(space_of(facts_of("llama-3.1-8b"), degrees), "tp") == [1, 2, 4, 8, 16, 32]
    assert allowed(space_of(facts_of("qwen2.5-7b-awq"), degrees), "tp") == [1, 2, 4]  # 28 heads, 4 of them KV
    assert allowed(space_of(facts_of("deepseek-v3"), {**degrees, "ep": [32]}), "tp") == [1, 2, 4, 8, 16, 32]


def test_only_rules_that_something_breaks_are_there() -> None:
    llama = facts_of("llama-3.1-8b")
    assert rules_of(llama, {"tp": [1, 2, 4, 8]}) == []
    [rule] = rules_of(llama, {"tp": [1, 2, 5]}, VLLM)[:1]
    assert (rule.text, rule.key) == ("32 % tp == 0", "model.id")
    assert rule.reason == "tp must divide the model's 32 attention heads"


def test_attention_of_sglang_is_split_by_tp_over_dp() -> None:
    space = space_of(facts_of("qwen2.5-7b-awq"), {"tp": [4, 8], "dp": [1, 2]}, SGLANG)
    assert [(c.values["tp"], c.values["dp"]) for c in space.grid()] == [(4, 1), (4, 2), (8, 2)]


def test_experts_are_divided_where_the_engine_wants_them_even() -> None:
    mixtral, degrees = facts_of("mixtral-8x7b"), {"ep": [1, 3, 8, 16]}
    assert allowed(space_of(mixtral, degrees, SGLANG), "ep") == [1, 8]
    assert allowed(space_of(mixtral, degrees, VLLM), "ep") == [1, 3, 8]
    assert allowed(space_of(facts_of("llama-3.1-8b"), degrees), "ep") == [1]
    assert allowed(space_of(mixtral, {"moe_ep": [1, 2, 3]}, TRTLLM), "moe_ep") == [1, 2]


def test_a_stage_has_a_layer() -> None:
    assert allowed(space_of(facts_of("llama-3.1-8b"), {"pp": [1, 32, 33]}), "pp") == [1, 32]


def test_decode_context_parallelism_takes_the_copies_of_kv_heads() -> None:
    space = space_of(facts_of("llama-3.1-70b"), {"tp": [8, 16, 32], "dcp": [1, 2, 4]})
    pairs = [(c.values["tp"], c.values["dcp"]) for c in space.grid()]
    assert pairs == [(8, 1), (16, 1), (16, 2), (32, 1), (32, 2), (32, 4)]
    assert allowed(space_of(facts_of("deepseek-v3"), {"dcp": [1, 2, 8]}), "dcp") == [1, 2, 8]


def test_blocks_of_fp8_weights_stay_whole() -> None:
    """Qwen3-235B-A22B-FP8 does not start with tp 8 alone: 1536 / 8 is no multiple of 128."""
    block = WeightFormat("fp8", "fp8", 8.0, block=128)
    facts = replace(facts_of("qwen3-235b-a22b"), weight_format=block)
    pairs = [(c.values["tp"], c.values["ep"]) for c in space_of(facts, {"tp": [4, 8], "ep": [1, 8]}, SGLANG).grid()]
    assert pairs == [(4, 1), (4, 8), (8, 8)]
    pairs = [(c.values["tp"], c.values["ep"]) for c in space_of(facts, {"tp": [4, 8], "ep": [1, 8]}, VLLM).grid()]
    assert pairs == [(4, 1), (4, 8), (8, 8)]
    assert rules_of(facts, {"tp": [4, 8]}, TRTLLM) == []
    dense = facts_of("qwen3-32b-fp8")
    assert allowed(space_of(replace(dense, intermediate_size=2816), {"tp": [1, 2, 4]}), "tp") == [1, 2]


def test_blocks_of_experts_are_cut_for_prefill_context_parallelism_too() -> None:
    """vLLM flattens tp, dp and cp: 2048 rows of DeepSeek-V3's experts are 16 blocks of 128."""
    degrees = {"tp": [8], "cp": [1, 2, 4], "ep": [1, 32]}
    pairs = [(c.values["cp"], c.values["ep"]) for c in space_of(facts_of("deepseek-v3"), degrees).grid()]
    assert pairs == [(1, 1), (1, 32), (2, 1), (2, 32), (4, 32)]


def test_prefill_context_parallelism_of_vllm_is_of_latent_attention() -> None:
    degrees = {"cp": [1, 2]}
    space = space_of(facts_of("llama-3.1-8b"), degrees)
    assert allowed(space, "cp") == [1]
    assert space.constraints[0].reason == "its context parallelism is of models with latent attention (MLA) alone"
    assert allowed(space_of(facts_of("deepseek-v3"), degrees), "cp") == [1, 2]
    assert allowed(space_of(facts_of("kimi-k2.5"), degrees), "cp") == [1, 2]
    assert allowed(space_of(facts_of("llama-3.1-8b"), degrees, TRTLLM), "cp") == [1, 2]


# ── lengths ───────────────────────────────────────────────────────────────────────────────────


def test_a_context_longer_than_the_model_is_refused() -> None:
    qwen, lengths = facts_of("qwen3-32b"), {"max-model-len": [8192, 40960, 65536]}
    space = space_of(qwen, lengths)
    assert allowed(space, "max-model-len") == [8192, 40960]
    assert space.constraints[0].reason == "the model is made for 40960 tokens of context"
    assert rules_of(qwen, lengths, LLAMACPP) == []


def test_a_fixed_length_is_refused_too() -> None:
    space = space_of(facts_of("qwen3-32b"), {"tp": [1]}, max_model_len=65536)
    with pytest.raises(SpaceError, match="the model is made for 40960 tokens") as caught:
        space.count()
    assert caught.value.key == "model.id"


def test_requests_must_have_room() -> None:
    qwen = facts_of("qwen3-32b")
    assert allowed(space_of(qwen, {"max-model-len": [1024, 1200, 8192]}, tokens=1200), "max-model-len") == [1200, 8192]
    auto = space_of(qwen, {"max-model-len": [-1, 1024, 8192]}, tokens=1200)
    assert allowed(auto, "max-model-len") == [-1, 8192]
    with pytest.raises(SpaceError, match="50000 tokens, input and output together"):
        space_of(qwen, {"tp": [1]}, tokens=50_000).count()


def test_slots_share_the_context_of_llamacpp() -> None:
    parameters = {"ctx-size": [0, 4096, 8192], "parallel": [-1, 2, 4]}
    space = space_of(facts_of("llama-3.1-8b"), parameters, LLAMACPP, tokens=2048, kv_unified=None)
    refused = {(4096, 4)}
    assert {(c.values["ctx-size"], c.values["parallel"]) for c in space.grid()} == {
        (size, slots) for size in (0, 4096, 8192) for slots in (-1, 2, 4)
    } - refused
    assert rules_of(facts_of("llama-3.1-8b"), parameters, LLAMACPP, tokens=2048, kv_unified=True) == []


def test_rules_of_one_engine_leave_others_alone() -> None:
    parameters = {"engine": ["vllm", "sglang"], "tp": [1, 3]}
    rules = rules_of(facts_of("llama-3.1-8b"), parameters, when="engine == 'vllm'")
    space = read_space(parameters, constraints=rules)
    assert [tuple(c.values.values()) for c in space.grid()] == [("vllm", 1), ("sglang", 1), ("sglang", 3)]
