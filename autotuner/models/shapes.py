"""How many parameters a decoder of a known family has, from the shapes in its config. Pure.

Shapes as the families' modeling files in transformers have them: gated MLP, rotary positions, RMS norms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from autotuner.models.facts import ModelFacts, ParameterCounts


@dataclass(frozen=True)
class _Family:
    """What config.json does not say. Biases are of projections; ``norms`` are vectors of the hidden size a layer."""

    qkv_bias: bool = False
    head_norms: bool = False  # of queries and keys, one vector of head_dim each
    norms: int = 2
    sinks: bool = False  # one number a head
    expert_bias: bool = False


_FAMILIES = {
    "llama": _Family(),
    "mistral": _Family(),
    "ministral": _Family(),
    "ministral3": _Family(),
    "mixtral": _Family(),
    "phi3": _Family(),
    "qwen2": _Family(qkv_bias=True),
    "qwen2_moe": _Family(qkv_bias=True),
    "qwen3": _Family(head_norms=True),
    "qwen3_moe": _Family(head_norms=True),
    "gemma": _Family(),
    "gemma2": _Family(norms=4),
    "gemma3_text": _Family(norms=4, head_norms=True),
    "gpt_oss": _Family(sinks=True, expert_bias=True),
    "glm4_moe": _Family(qkv_bias=True),
    "deepseek_v2": _Family(),
    "deepseek_v3": _Family(),
    # With sparse attention, whose indexers (about 0.1 % of the weights) are left out.
    "deepseek_v32": _Family(),
    "glm_moe_dsa": _Family(),
    "kimi_k2": _Family(),
    "minimax_m2": _Family(),
}


def count_parameters(facts: ModelFacts, text: Mapping[str, Any], name: str) -> ModelFacts:
    """The facts with ``counts``, where the family ``name`` is known and every shape is told."""
    family = _FAMILIES.get(name)
    sizes = (facts.layers, facts.hidden_size, facts.attention_heads, facts.kv_heads, facts.head_dim, facts.vocabulary)
    if family is None or None in sizes or (facts.intermediate_size is None and not facts.is_moe):
        return facts
    reader = _Shapes(facts, text, family)
    return replace(facts, counts=reader.counts()) if reader.is_complete else facts


class _Shapes:
    def __init__(self, facts: ModelFacts, text: Mapping[str, Any], family: _Family) -> None:
        self._facts, self._text, self._family = facts, text, family
        self._layers, self._hidden = facts.layers or 0, facts.hidden_size or 0
        self._heads, self._kv_heads = facts.attention_heads or 0, facts.kv_heads or 0
        self._head_dim = facts.head_dim or 0

    @property
    def is_complete(self) -> bool:
        needed = ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim") if self._facts.is_mla else ()
        return all(isinstance(self._text.get(name), int) for name in needed)

    def counts(self) -> ParameterCounts:
        facts = self._facts
        sparse = self._sparse_layers() if facts.is_moe else 0
        width = facts.expert_intermediate_size or facts.intermediate_size or 0
        attention, attention_other = self._latent() if facts.is_mla else self._grouped_query()
        dense = (self._layers - sparse) * 3 * self._hidden * (facts.intermediate_size or 0)
        shared = sparse * 3 * self._hidden * self._shared_width(width)
        router = sparse * self._router()
        norms = self._family.norms * self._hidden
        return ParameterCounts(
            embedding=(facts.vocabulary or 0) * self._hidden * (1 if facts.tie_word_embeddings else 2),
            linear=self._layers * attention + dense + shared,
            experts=sparse * facts.experts * 3 * self._hidden * width,
            other=self._layers * (attention_other + norms) + router + self._expert_biases(sparse, width) + self._hidden,
        )

    def _grouped_query(self) -> tuple[int, int]:
        """Matrices, and what is none, of one layer."""
        queries, keys = self._heads * self._head_dim, self._kv_heads * self._head_dim
        other = 0
        if self._text.get("attention_bias", self._family.qkv_bias) is True:
            other += queries + 2 * keys
        if self._text.get("attention_bias") is True and not self._family.qkv_bias:
            other += self._hidden
        if self._family.head_norms or self._text.get("use_qk_norm") is True:
            other += 2 * self._head_dim
        if self._family.sinks:
            other += self._heads
        return self._hidden * (2 * queries + 2 * keys), other

    def _latent(self) -> tuple[int, int]:
        """Multi-head latent attention: DeepSeek-V2, arXiv 2405.04434, section 2.1 and appendix C."""
        facts, text = self._facts, self._text
        rank, rope = facts.kv_lora_rank or 0, int(text["qk_rope_head_dim"])
        nope, value = int(text["qk_nope_head_dim"]), int(text["v_head_dim"])
        query_rank = text.get("q_lora_rank") or 0
        per_query = self._heads * (nope + rope)
        queries = self._hidden * query_rank + query_rank * per_query if query_rank else self._hidden * per_query
        keys = self._hidden * (rank + rope) + rank * self._heads * (nope + value)
        return queries + keys + self._heads * value * self._hidden, query_rank + rank

    def _sparse_layers(self) -> int:
        text = self._text
        first, step = text.get("first_k_dense_replace") or 0, text.get("decoder_sparse_step") or 1
        dense = text.get("mlp_only_layers") or []
        return sum(i >= first and (i + 1) % step == 0 and i not in dense for i in range(self._layers))

    def _shared_width(self, width: int) -> int:
        own = self._text.get("shared_expert_intermediate_size")
        return own if isinstance(own, int) else self._facts.shared_experts * width

    def _router(self) -> int:
        experts = self._facts.experts
        weights = self._hidden * experts
        if self._text.get("topk_method") == "noaux_tc" or self._family.expert_bias:
            weights += experts
        if "shared_expert_intermediate_size" in self._text:
            weights += self._hidden  # the gate of Qwen2-MoE's shared expert
        return weights

    def _expert_biases(self, sparse: int, width: int) -> int:
        return sparse * self._facts.experts * (2 * width + self._hidden) if self._family.expert_bias else 0
