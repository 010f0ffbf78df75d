"""How much GPU memory a model needs: arithmetic from its shape, in bytes. Pure.

Figures are the least that must be there: what engines round up or keep twice is left out, so that nothing that would
fit is ever refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from autotuner.models.facts import ModelFacts
from autotuner.space.parallelism import Parallelism
from autotuner.space.quantization import AUTO
from autotuner.space.server_traits import ServerTraits

GIB = 1024**3
# Beside weights and cache: activations of one step, NCCL's buffers, CUDA graphs. vLLM's own profile of an 8B model
# (max-num-batched-tokens 2048) tells 0.6 to 1.4 GiB.
LEAST_OVERHEAD_GIB = 0.5

UNQUANTISED_BITS = 16.0  # engines serve float32 checkpoints in 16 bits
_LEAST_WEIGHT_BITS = 4.0
_LEAST_KV_BITS = 3.0
# A name of a format → bits of a number: the first pattern that is found in it.
_BITS = (
    (re.compile(r"3bit"), 3.0),
    (re.compile(r"fp4|int4|4bit|w4|awq|gptq|q4|nf4|k3v4"), 4.0),
    (re.compile(r"fp6|q6"), 6.0),
    (re.compile(r"fp8|int8|w8|q8|e4m3|e5m2|k8v4"), 8.0),
    (re.compile(r"bf16|bfloat16|fp16|float16|f16|half"), 16.0),
    (re.compile(r"fp32|float32|f32|float"), 32.0),
)


@dataclass(frozen=True)
class WeightBytes:
    """``shared`` is split by tensor and pipeline parallelism alone, ``experts`` by expert parallelism too."""

    shared: float
    experts: float = 0.0

    @property
    def total(self) -> float:
        return self.shared + self.experts


def format_bits(name: str) -> float | None:
    """Bits of a number in a format of that name (fp8_e4m3, bfloat16, nvfp4); ``None`` where it does not tell."""
    return next((bits for pattern, bits in _BITS if pattern.search(name.lower())), None)


def weight_bytes(facts: ModelFacts, gemm: str = AUTO, moe: str = AUTO) -> WeightBytes | None:
    """Σ parameters × bits / 8; ``None`` where neither shapes nor files are known.

    ``gemm`` and ``moe`` are formats that the engine brings weights into as it loads them: they hold for the matrices
    of attention, MLP and experts, never for embeddings and norms, which stay at 16 bits (vLLM docs, "Quantization",
    online dynamic FP8). ``auto`` is the checkpoint's own format. Where the files are here their size is the limit:
    checkpoints also hold what is not loaded, as DeepSeek-V3's layers for multi-token prediction.
    """
    counts = facts.counts
    if counts is None:
        return _by_files(facts) if gemm == moe == AUTO else None
    linear_bits = _own_bits(facts, experts=False) if gemm == AUTO else _new_bits(gemm)
    experts_format = gemm if moe == AUTO else moe
    expert_bits = _own_bits(facts, experts=True) if experts_format == AUTO else _new_bits(experts_format)
    shared = (counts.embedding + counts.other) * UNQUANTISED_BITS + counts.linear * linear_bits
    found = WeightBytes(shared / 8, counts.experts * expert_bits / 8)
    files = facts.weight_bytes
    if gemm != AUTO or moe != AUTO or files is None or files >= found.total:
        return found
    return WeightBytes(found.shared * files / found.total, found.experts * files / found.total)


def weight_bytes_per_gpu(
    facts: ModelFacts, parallelism: Parallelism, gemm: str = AUTO, moe: str = AUTO, traits: ServerTraits | None = None
) -> float | None:
    """shared / (tp · pp · cp) + experts / (tp · pp · cp · dp).

    Replicas of vLLM's data parallelism share the experts among them (vLLM docs, "Expert Parallel Deployment"); with
    ``dp_inside_tp`` (SGLang's data-parallel attention) the tp ranks do that already. Where ``cp_splits`` the experts
    alone, every rank of cp keeps the shared weights.
    """
    traits = traits or ServerTraits()
    weights = weight_bytes(facts, gemm, moe)
    if weights is None:
        return None
    stages = parallelism.tp * parallelism.pp
    shared = weights.shared / (stages if traits.cp_splits == "experts" else stages * parallelism.cp)
    return shared + weights.experts / (stages * parallelism.cp * (1 if traits.dp_inside_tp else parallelism.dp))


def kv_bytes_per_token(facts: ModelFacts, kv_cache: str = AUTO, *, growing_alone: bool = False) -> float | None:
    """Bytes that one token of context takes on all GPUs together, each KV head once; ``None`` where unknown.

    Keys and values of grouped-query attention: 2 × layers × kv_heads × head_dim × bits / 8 (Pope et al., "Efficiently
    Scaling Transformer Inference", arXiv 2211.05102, section 2.1). Latent attention: layers × (kv_lora_rank +
    qk_rope_head_dim) × bits / 8 (DeepSeek-V2, arXiv 2405.04434, table 1). ``growing_alone`` leaves out layers that
    keep a window only: what a long context costs at the least.
    """
    layers = facts.full_attention_layers if growing_alone else facts.layers
    if facts.counts is None or layers is None:
        return None
    if facts.kv_lora_rank is not None:
        numbers = facts.kv_lora_rank + (facts.qk_rope_head_dim or 0)
    else:
        numbers = 2 * (facts.kv_heads or 0) * (facts.head_dim or 0)
    return layers * numbers * kv_bits(facts, kv_cache) / 8


def kv_bytes_per_token_per_gpu(
    facts: ModelFacts,
    parallelism: Parallelism,
    kv_cache: str = AUTO,
    traits: ServerTraits | None = None,
    *,
    growing_alone: bool = False,
) -> float | None:
    """Of one GPU: all / (min(tp, kv_heads) · pp · dcp · cp), latent attention all / (pp · dcp · cp).

    Beyond as many ranks as there are KV heads each keeps a copy; a latent vector is kept by every rank (vLLM docs,
    "Context Parallel Deployment"). Without cp where ``cp_splits`` the experts alone.
    """
    traits = traits or ServerTraits()
    whole = kv_bytes_per_token(facts, kv_cache, growing_alone=growing_alone)
    if whole is None:
        return None
    heads = 1 if facts.is_mla else min(parallelism.tp, facts.kv_heads or 1)
    split = heads * parallelism.pp * parallelism.dcp
    return whole / (split if traits.cp_splits == "experts" else split * parallelism.cp)


def kv_bits(facts: ModelFacts, kv_cache: str = AUTO) -> float:
    """Bits of one number in the KV cache; ``auto`` is the checkpoint's own format, else 16."""
    own = facts.weight_format.kv_cache if facts.weight_format is not None else None
    name = own if kv_cache == AUTO else kv_cache
    if name is None or name == AUTO:
        return UNQUANTISED_BITS
    return format_bits(name) or _LEAST_KV_BITS


def _own_bits(facts: ModelFacts, *, experts: bool) -> float:
    own = facts.weight_format
    if own is None or (own.experts_only and not experts):
        return UNQUANTISED_BITS
    if not experts and own.shared_bits is not None:
        return own.shared_bits
    return own.bits if own.bits is not None else format_bits(own.kind) or _LEAST_WEIGHT_BITS


def _new_bits(name: str) -> float:
    return min(format_bits(name) or _LEAST_WEIGHT_BITS, UNQUANTISED_BITS)


def _by_files(facts: ModelFacts) -> WeightBytes | None:
    """All of a mixture may be experts: nothing tells how much is not."""
    if facts.weight_bytes is None:
        return None
    size = float(facts.weight_bytes)
    return WeightBytes(0.0, size) if facts.is_moe else WeightBytes(size)
