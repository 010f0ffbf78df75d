"""Memory of models against published figures, and the rules that follow for a space."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotuner.errors import SpaceError
from autotuner.space import Config, read_space
from autotuner.space.memory import (
    GIB,
    format_bits,
    kv_bytes_per_token,
    kv_bytes_per_token_per_gpu,
    weight_bytes,
    weight_bytes_per_gpu,
)
from autotuner.space.parallelism import Parallelism
from autotuner.space.server_traits import ServerTraits
from tests.model_spaces import SGLANG, TRTLLM, VLLM, allowed, facts_of, rules_of, space_of

# ── arithmetic ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "gigabytes"),
    [  # sizes of the checkpoints' files on the hub, in 10^9 bytes
        ("llama-3.1-8b", 16.06),
        ("llama-3.1-70b", 141.11),
        ("qwen3-32b", 65.52),
        ("qwen3-30b-a3b", 61.06),
        ("mixtral-8x7b", 93.41),
        ("qwen2.5-7b-awq", 5.57),
        ("qwen2.5-7b-gptq-int4", 5.57),
        ("gpt-oss-120b", 65.25),
    ],
)
def test_weights_are_as_large_as_their_files(name: str, gigabytes: float) -> None:
    found = weight_bytes(facts_of(name))
    assert found is not None
    assert found.total / 1e9 == pytest.approx(gigabytes, rel=0.004)


@pytest.mark.parametrize(
    ("name", "kv_cache", "size"),
    [
        ("llama-3.1-8b", "auto", 128 * 1024),
        ("llama-3.1-8b", "fp8", 64 * 1024),
        ("llama-3.1-8b", "fp8_e5m2", 64 * 1024),
        ("llama-3.1-8b", "nvfp4", 32 * 1024),
        ("llama-3.1-70b", "auto", 320 * 1024),
        ("qwen3-32b", "bfloat16", 256 * 1024),
        ("qwen3-30b-a3b", "auto", 96 * 1024),
        ("mixtral-8x7b", "auto", 128 * 1024),
        ("deepseek-v3", "auto", 70_272),
        ("gpt-oss-120b", "auto", 72 * 1024),
        ("qwen3-32b-fp8-modelopt", "auto", 128 * 1024),  # its config asks for an fp8 cache
    ],
)
def test_kv_cache_per_token(name: str, kv_cache: str, size: int) -> None:
    assert kv_bytes_per_token(facts_of(name), kv_cache) == size


def test_windowed_layers_stop_growing() -> None:
    assert kv_bytes_per_token(facts_of("gpt-oss-120b"), growing_alone=True) == 36 * 1024


def test_unknown_shapes_have_no_figures() -> None:
    gemma = facts_of("gemma-4-26b-a4b")
    assert weight_bytes(gemma) is None
    assert kv_bytes_per_token(gemma) is None
    assert kv_bytes_per_token_per_gpu(gemma, Parallelism()) is None
    assert weight_bytes_per_gpu(gemma, Parallelism()) is None
    on_disk = weight_bytes(replace(gemma, weight_bytes=50_000))
    assert on_disk is not None
    assert on_disk.total == 50_000


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("fp8", 8),
        ("fp8_e4m3", 8),
        ("fp8_block", 8),
        ("int8", 8),
        ("nvfp4", 4),
        ("mxfp4", 4),
        ("awq", 4),
        ("w4a8", 4),
        ("q8_0", 8),
        ("q4_k", 4),
        ("bfloat16", 16),
        ("fp16", 16),
        ("float32", 32),
        ("turboquant_3bit_nc", 3),
        ("strange", None),
    ],
)
def test_formats_have_the_bits_that_their_names_say(name: str, bits: float | None) -> None:
    assert format_bits(name) == bits


def test_a_gpu_holds_its_share() -> None:
    llama, qwen, deepseek = facts_of("llama-3.1-70b"), facts_of("qwen3-30b-a3b"), facts_of("deepseek-v3")
    assert weight_bytes_per_gpu(llama, Parallelism(tp=4, pp=2)) == 70_553_706_496 * 2 / 8
    fp8 = weight_bytes_per_gpu(llama, Parallelism(tp=2), "fp8")
    assert fp8 == (68_451_041_280 + 2 * (70_553_706_496 - 68_451_041_280)) / 2
    experts = 48 * 128 * 3 * 2048 * 768
    replicas = weight_bytes_per_gpu(qwen, Parallelism(tp=2, dp=4))
    assert replicas == (30_532_122_624 - experts) * 2 / 2 + experts * 2 / 8
    inside = weight_bytes_per_gpu(qwen, Parallelism(tp=8, dp=4), traits=SGLANG)
    assert inside == 30_532_122_624 * 2 / 8
    assert kv_bytes_per_token_per_gpu(llama, Parallelism(tp=4)) == 80 * 1024
    assert kv_bytes_per_token_per_gpu(llama, Parallelism(tp=16)) == 40 * 1024  # every KV head twice
    assert kv_bytes_per_token_per_gpu(llama, Parallelism(tp=16, dcp=2)) == 20 * 1024
    assert kv_bytes_per_token_per_gpu(deepseek, Parallelism(tp=8)) == 70_272
    assert kv_bytes_per_token_per_gpu(deepseek, Parallelism(tp=8, dcp=8)) == 70_272 / 8


def test_vllm_s_context_parallelism_shares_out_experts_alone() -> None:
    """Each rank of it has the weights of attention and the KV cache whole; Helix of TensorRT-LLM divides both."""
    deepseek, layout = facts_of("deepseek-v3"), Parallelism(tp=2, cp=4)
    whole = weight_bytes(deepseek)
    assert whole is not None
    assert weight_bytes_per_gpu(deepseek, layout, traits=VLLM) == whole.shared / 2 + whole.experts / 8
    assert weight_bytes_per_gpu(deepseek, layout, traits=TRTLLM) == whole.shared / 8 + whole.experts / 8
    assert kv_bytes_per_token_per_gpu(deepseek, layout, traits=VLLM) == 70_272
    assert kv_bytes_per_token_per_gpu(deepseek, Parallelism(tp=2, cp=4, dcp=8), traits=VLLM) == 70_272 / 8
    assert kv_bytes_per_token_per_gpu(deepseek, layout, traits=TRTLLM) == 70_272 / 4


def test_files_smaller_than_the_shapes_are_believed() -> None:
    found = weight_bytes(replace(facts_of("llama-3.1-8b"), weight_bytes=10_000_000_000))
    assert found is not None
    assert found.total == pytest.approx(10_000_000_000)


# ── memory ────────────────────────────────────────────────────────────────────────────────────


def test_weights_that_do_not_fit_are_refused() -> None:
    parameters = {"tp": [1, 2, 4], "quant.gemm": ["auto", "fp8"], "gpu-memory": {"float": [0.85, 0.95]}}
    rules = rules_of(facts_of("llama-3.1-70b"), parameters, memory_gib=79.6, max_model_len=8192)
    text = "(131.4 - 63.8 * (quant.gemm == 'fp8')) / tp <= 79.6 * gpu_memory - 0.5"
    assert rules[0].text == text
    assert rules[0].reason == (
        "weights of 131.4 GiB, or less where they are quantised, must fit into a GPU of 79.6 GiB"
    )
    space = read_space(parameters, constraints=rules)
    for tp, gemm, fraction, fits in [
        (1, "auto", 0.95, False),
        (1, "fp8", 0.85, False),
        (1, "fp8", 0.95, True),  # 67.6 GiB and 2.5 for the cache, into 75.1
        (2, "auto", 0.85, True),
        (2, "auto", 0.95, True),
        (4, "auto", 0.85, True),
    ]:
        config = Config({"tp": tp, "quant.gemm": gemm, "gpu-memory": fraction})
        assert (space.violated(config) is None) is fits, (tp, gemm, fraction)


def test_vllm_wants_room_for_the_longest_request() -> None:
    """Llama-3.1-8B on 24 GiB with its own 131072 tokens: 15 GiB of weights, 16 of cache."""
    llama = facts_of("llama-3.1-8b")
    rules = rules_of(llama, {"tp": [1, 2]}, memory_gib=24.0, gpu_memory=0.92, max_model_len=None)
    assert [rule.text for rule in rules] == ["14.9 / tp + 131072 / 8192 / tp <= 24 * 0.92 - 0.5"]
    assert "131072 tokens (max_model_len is not set)" in rules[0].reason
    assert allowed(read_space({"tp": [1, 2]}, constraints=rules), "tp") == [2]
    assert rules_of(llama, {"tp": [1, 2]}, SGLANG, memory_gib=24.0, gpu_memory=0.92, max_model_len=None) == []
    assert rules_of(llama, {"tp": [1, 2]}, memory_gib=24.0, gpu_memory=0.92, max_model_len=8192) == []


def test_a_smaller_cache_format_makes_room() -> None:
    parameters = {"tp": [1], "quant.kv_cache": ["auto", "fp8", "nvfp4"]}
    rules = rules_of(facts_of("llama-3.1-8b"), parameters, memory_gib=24.0, gpu_memory=0.95, max_model_len=65536)
    cache = "65536 / (8192 * (1 + (quant.kv_cache == 'fp8') + 3 * (quant.kv_cache == 'nvfp4')))"
    assert [rule.text for rule in rules] == [f"14.9 + {cache} <= 24 * 0.95 - 0.5"]
    assert allowed(read_space(parameters, constraints=rules), "quant.kv_cache") == ["fp8", "nvfp4"]


def test_trtllm_gives_the_cache_a_part_of_the_rest() -> None:
    parameters = {"gpu-memory": {"float": [0.1, 0.9]}}
    rules = rules_of(facts_of("llama-3.1-8b"), parameters, TRTLLM, memory_gib=24.0, tokens=16384)
    assert [rule.text for rule in rules] == ["16384 / 8192 <= (24 - 0.5 - (14.9)) * gpu_memory"]
    space = read_space(parameters, constraints=rules)
    assert space.violated(Config({"gpu-memory": 0.22})) is not None
    assert space.violated(Config({"gpu-memory": 0.25})) is None


def test_formats_of_experts_and_of_the_rest_are_told_apart() -> None:
    parameters = {"quant.gemm": ["auto", "fp8"], "quant.moe": ["auto", "fp8"]}
    rules = rules_of(facts_of("qwen3-30b-a3b"), parameters, memory_gib=45.0, gpu_memory=0.9, max_model_len=4096)
    space = read_space(parameters, constraints=rules)
    fits = {(c.values["quant.gemm"], c.values["quant.moe"]) for c in space.grid()}
    assert fits == {("auto", "fp8"), ("fp8", "auto"), ("fp8", "fp8")}


def test_another_checkpoint_has_its_own_size() -> None:
    parameters = {"quant.gemm": ["auto", "awq"]}
    variants = {"awq": facts_of("qwen2.5-7b-awq")}
    plain = replace(facts_of("qwen2.5-7b-awq"), weight_format=None)
    rules = rules_of(plain, parameters, memory_gib=12.0, gpu_memory=0.9, max_model_len=4096, variants=variants)
    assert allowed(read_space(parameters, constraints=rules), "quant.gemm") == ["awq"]


@pytest.mark.parametrize("offload", [10, 0.5])
def test_weights_in_host_memory_are_not_counted(offload: float) -> None:
    llama = facts_of("llama-3.1-70b")
    assert rules_of(llama, {"pp": [1]}, memory_gib=24.0, gpu_memory=0.9, max_model_len=4096, offload=offload) == []
    assert rules_of(llama, {"pp": [1]}, memory_gib=24.0, gpu_memory=0.9, max_model_len=4096, offload=0) != []


def test_a_space_where_nothing_fits_names_the_rule() -> None:
    space = space_of(facts_of("deepseek-v3"), {"tp": [1, 2, 4]}, memory_gib=79.6, gpu_memory=0.9, max_model_len=4096)
    with pytest.raises(SpaceError, match=r"weights of 626.9 GiB must fit into a GPU of 79.6 GiB"):
        space.count()


NAMES = [
    "llama-3.1-8b",
    "llama-3.1-70b",
    "qwen3-30b-a3b",
    "deepseek-v3",
    "gpt-oss-120b",
    "qwen2.5-7b-awq",
    "mixtral-8x7b",
]


@given(
    name=st.sampled_from(NAMES),
    tp=st.sampled_from([1, 2, 4, 8]),
    pp=st.sampled_from([1, 2]),
    dp=st.sampled_from([1, 2, 4]),
    cp=st.sampled_from([1, 2]),
    gemm=st.sampled_from(["auto", "fp8"]),
    moe=st.sampled_from(["auto", "fp8"]),
    kv_cache=st.sampled_from(["auto", "fp8", "bfloat16"]),
    length=st.integers(1, 32768),
    fraction=st.floats(0.5, 0.99),
    memory_gib=st.floats(8, 200).map(lambda value: round(value, 1)),
    traits=st.sampled_from([VLLM, SGLANG, TRTLLM]),
)
@settings(max_examples=400, deadline=None)
def test_what_fits_is_never_refused_and_what_is_far_too_large_always(
    name: str,
    tp: int,
    pp: int,
    dp: int,
    cp: int,
    gemm: str,
    moe: str,
    kv_cache: str,
    length: int,
    fraction: float,
    memory_gib: float,
    traits: ServerTraits,
) -> None:
    facts = facts_of(name)
    if facts.quantization is not None:
        gemm = moe = "auto"
    parameters = {
        "tp": [1, 2, 4, 8],
        "pp": [1, 2],
        "dp": [1, 2, 4],
        "cp": [1, 2],
        "ep": [1, 64],
        "quant.gemm": ["auto", "fp8"],
        "quant.moe": ["auto", "fp8"],
        "quant.kv_cache": ["auto", "fp8", "bfloat16"],
        "max-model-len": {"int": [1, 32768]},
        "gpu-memory": {"float": [0.5, 0.99]},
    }
    rules = rules_of(facts, parameters, traits, memory_gib=memory_gib, tokens=length)
    rules = [rule for rule in rules if "GiB" in rule.reason]
    layout = Parallelism(tp=tp, pp=pp, dp=dp, cp=cp)
    weights = weight_bytes_per_gpu(facts, layout, gemm, moe, traits)
    cache = kv_bytes_per_token_per_gpu(facts, layout, kv_cache, traits, growing_alone=True)
    assert weights is not None
    assert cache is not None
    room = memory_gib - 0.5 if traits is TRTLLM else memory_gib * fraction - 0.5
    needed = weights / GIB + length * cache / GIB / (fraction if traits is TRTLLM else 1)
    formats = {"quant.gemm": gemm, "quant.moe": moe, "quant.kv_cache": kv_cache}
    flags = {"max-model-len": length, "gpu-memory": fraction}
    config = Config({"tp": tp, "pp": pp, "dp": dp, "cp": cp, "ep": 1, **formats, **flags})
    fits = read_space(parameters, constraints=rules, fixed={"dcp": 1}).violated(config) is None
    if needed <= room:
        assert fits
    elif needed * 0.99 > room + 0.4:
        assert not fits  # figures are rounded to tenths of a GiB
