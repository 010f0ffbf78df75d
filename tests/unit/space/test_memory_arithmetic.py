"""Bits and bytes of a model whose figures are small enough to be worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.models.facts import ModelFacts, ParameterCounts, WeightFormat
from autotuner.space.memory import (
    format_bits,
    kv_bits,
    kv_bytes_per_token,
    kv_bytes_per_token_per_gpu,
    weight_bytes,
    weight_bytes_per_gpu,
)
from autotuner.space.parallelism import Parallelism
from autotuner.space.server_traits import ServerTraits

COUNTS = ParameterCounts(embedding=100, linear=1000, experts=8000, other=60)
EXPERTS_ALONE = ServerTraits(cp_splits="experts")


def facts(**known: Any) -> ModelFacts:
    given = {"counts": COUNTS, "layers": 10, "full_attention_layers": 4, "kv_heads": 4, "head_dim": 8, "experts": 8}
    return ModelFacts("toy", **{**given, **known})


@pytest.mark.parametrize(
    ("gemm", "moe", "shared", "experts"),
    [
        ("auto", "auto", 160 * 2 + 1000 * 2, 8000 * 2),
        ("fp8", "auto", 160 * 2 + 1000, 8000),
        ("auto", "fp8", 160 * 2 + 1000 * 2, 8000),
        ("fp8", "nvfp4", 160 * 2 + 1000, 8000 / 2),
        ("float32", "auto", 160 * 2 + 1000 * 2, 8000 * 2),  # served in 16 bits
        ("strange", "auto", 160 * 2 + 1000 / 2, 8000 / 2),  # 4 bits at the least
    ],
)
def test_a_format_is_of_matrices_and_of_experts_where_they_have_none_of_their_own(
    gemm: str, moe: str, shared: float, experts: float
) -> None:
    found = weight_bytes(facts(), gemm, moe)
    assert found is not None
    assert (found.shared, found.experts, found.total) == (shared, experts, shared + experts)


@pytest.mark.parametrize(
    ("own", "shared", "experts"),
    [
        (WeightFormat("fp8", "fp8", 8.0), 320 + 1000, 8000),
        (WeightFormat("fp8", "fp8"), 320 + 1000, 8000),  # as its name says
        (WeightFormat("strange", "strange"), 320 + 500, 4000),
        (WeightFormat("mxfp4", "mxfp4", 4.25, experts_only=True), 320 + 2000, 8000 * 4.25 / 8),
        (WeightFormat("fp8", "fp8", 8.0, shared_bits=12.0), 320 + 1500, 8000),
    ],
)
def test_a_checkpoints_own_format(own: WeightFormat, shared: float, experts: float) -> None:
    found = weight_bytes(facts(weight_format=own))
    assert found is not None
    assert (found.shared, found.experts) == (shared, experts)


def test_smaller_files_are_believed_as_long_as_the_format_is_the_checkpoints_own() -> None:
    whole = 2320 + 16000
    for size, total in ((whole // 2, whole // 2), (whole, whole), (whole * 2, whole)):
        found = weight_bytes(facts(weight_bytes=size))
        assert found is not None
        assert found.total == pytest.approx(total)
        assert found.shared / found.experts == pytest.approx(2320 / 16000)
    for gemm, moe, total in (("fp8", "auto", 1320 + 8000), ("auto", "fp8", 2320 + 8000)):
        other = weight_bytes(facts(weight_bytes=10), gemm, moe)
        assert other is not None
        assert other.total == total


def test_files_alone_are_all_experts_of_a_mixture_and_of_one_format() -> None:
    mixture, dense = (weight_bytes(facts(counts=None, weight_bytes=900, experts=n)) for n in (8, 0))
    assert mixture is not None
    assert dense is not None
    assert ((mixture.shared, mixture.experts), (dense.shared, dense.experts)) == ((0, 900), (900, 0))
    for gemm, moe in (("fp8", "auto"), ("auto", "fp8"), ("fp8", "fp8")):
        assert weight_bytes(facts(counts=None, weight_bytes=900), gemm, moe) is None
    assert weight_bytes(facts(counts=None)) is None


@pytest.mark.parametrize(
    ("traits", "shared_over", "experts_over"),
    [
        (ServerTraits(), 2 * 3 * 5, 2 * 3 * 5 * 7),
        (EXPERTS_ALONE, 2 * 3, 2 * 3 * 5 * 7),
        (ServerTraits(dp_inside_tp=True), 2 * 3 * 5, 2 * 3 * 5),
    ],
)
def test_a_gpu_has_its_share_of_the_weights(traits: ServerTraits, shared_over: int, experts_over: int) -> None:
    found = weight_bytes_per_gpu(facts(), Parallelism(tp=2, pp=3, cp=5, dp=7), traits=traits)
    assert found == pytest.approx(2320 / shared_over + 16000 / experts_over)


@pytest.mark.parametrize(
    ("known", "bits"),
    [
        ({}, 16),
        ({"kv_cache": "auto"}, 16),
        ({"kv_cache": "fp8"}, 8),
        ({"kv_cache": "strange"}, 3),
    ],
)
def test_numbers_of_the_cache_are_the_checkpoints_own_else_of_16_bits(known: dict[str, Any], bits: float) -> None:
    own = facts(weight_format=WeightFormat("fp8", "fp8", 8.0, **known))
    assert kv_bits(own) == bits
    assert (kv_bits(own, "nvfp4"), kv_bits(facts()), kv_bits(facts(), "strange")) == (4, 16, 3)


def test_the_cache_of_a_token() -> None:
    assert kv_bytes_per_token(facts()) == 10 * 2 * 4 * 8 * 2
    assert kv_bytes_per_token(facts(), "fp8", growing_alone=True) == 4 * 2 * 4 * 8
    latent = facts(kv_lora_rank=20, qk_rope_head_dim=5)
    assert kv_bytes_per_token(latent) == 10 * 25 * 2
    assert kv_bytes_per_token(facts(kv_lora_rank=20)) == 10 * 20 * 2
    assert kv_bytes_per_token(facts(kv_heads=None)) == 0
    assert kv_bytes_per_token(facts(layers=None)) is None
    assert kv_bytes_per_token(facts(counts=None)) is None


@pytest.mark.parametrize(
    ("known", "traits", "over"),
    [
        ({}, ServerTraits(), 2 * 3 * 5 * 7),
        ({}, EXPERTS_ALONE, 2 * 3 * 5),
        ({"kv_heads": 1}, ServerTraits(), 3 * 5 * 7),
        ({"kv_lora_rank": 20}, ServerTraits(), 3 * 5 * 7),
    ],
)
def test_a_gpu_has_its_share_of_the_cache(known: dict[str, Any], traits: ServerTraits, over: int) -> None:
    model = facts(**known)
    whole = kv_bytes_per_token(model)
    assert whole
    found = kv_bytes_per_token_per_gpu(model, Parallelism(tp=2, pp=3, dcp=5, cp=7), traits=traits)
    assert found == pytest.approx(whole / over)


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("FP8", 8),
        ("w8a8", 8),
        ("w4a16", 4),
        ("k8v4", 8),
        ("k3v4", 4),
        ("q6_k", 6),
        ("fp6", 6),
        ("half", 16),
        ("nf4", 4),
    ],
)
def test_the_first_pattern_that_a_name_has_tells_its_bits(name: str, bits: float) -> None:
    assert format_bits(name) == bits
