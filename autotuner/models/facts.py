"""ModelFacts: shape and format of a model, as data."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WeightFormat:
    """How the weights of a checkpoint are quantised already.

    ``method`` is the name that config.json gives (awq, gptq, fp8, compressed-tensors, modelopt, mxfp4,
    bitsandbytes, gguf, …), ``kind`` the format of a number (fp8, int8, int4, nvfp4, mxfp4, q4_k, …). ``bits`` are
    those of one quantised weight with its share of the scales, ``None`` where they are not known. Of a checkpoint of
    several formats ``kind`` names each (``fp8 + nvfp4``), ``bits`` are an average, of the routed experts where there
    are some, and ``shared_bits`` those of all other matrices where they differ. Weights can be cut among GPUs only at
    multiples of ``block``. ``kv_cache`` is the format that the KV cache has by default.
    """

    method: str
    kind: str
    bits: float | None = None
    block: int | None = None
    experts_only: bool = False
    kv_cache: str | None = None
    shared_bits: float | None = None

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(self.kind.split(" + "))

    @property
    def text(self) -> str:
        """For people: ``awq (int4)``."""
        return self.method if self.kind == self.method else f"{self.method} ({self.kind})"


@dataclass(frozen=True)
class ParameterCounts:
    """Parameters by what engines do with them.

    ``embedding``: token embedding and output head, left as they are; ``linear``: the matrices of attention, MLP and
    shared experts; ``experts``: those of the routed experts; ``other``: norms, biases, routers.
    """

    embedding: int
    linear: int
    experts: int
    other: int

    @property
    def total(self) -> int:
        return self.embedding + self.linear + self.experts + self.other


@dataclass(frozen=True)
class ModelFacts:
    """Shape and format of one model; ``None`` is "not told".

    ``family`` is config.json's model_type; of a model of several parts the shapes are those of the one that makes
    text. ``positions`` is the longest context that its rotary embedding is made for, in tokens, as vLLM reckons it,
    ``default_positions`` what an engine takes when it is told nothing. ``full_attention_layers`` keep the whole
    context, the others are windowed or linear. ``counts`` are there for families whose shapes are known;
    ``exact_parameters`` and ``weight_bytes`` where the weights' own files are. ``stated_by`` is the public source of
    what is registered (search_spaces/model/known), ``None`` for what the model's own files say.
    """

    family: str
    architecture: str | None = None
    layers: int | None = None
    hidden_size: int | None = None
    intermediate_size: int | None = None
    attention_heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    vocabulary: int | None = None
    experts: int = 0
    active_experts: int = 0
    shared_experts: int = 0
    expert_intermediate_size: int | None = None
    positions: int | None = None
    default_positions: int | None = None
    dtype: str | None = None
    weight_format: WeightFormat | None = None
    kv_lora_rank: int | None = None
    qk_rope_head_dim: int | None = None
    sliding_window: int | None = None
    full_attention_layers: int | None = None
    tie_word_embeddings: bool = False
    counts: ParameterCounts | None = None
    exact_parameters: int | None = None
    weight_bytes: int | None = None
    stated_by: str | None = None

    @property
    def is_moe(self) -> bool:
        return self.experts > 1

    @property
    def is_mla(self) -> bool:
        """Whether attention keeps one compressed vector a token (multi-head latent attention)."""
        return self.kv_lora_rank is not None

    @property
    def parameters(self) -> int | None:
        """Exact where the weights' files tell it, else from the shapes, else ``None``."""
        if self.exact_parameters is not None:
            return self.exact_parameters
        return None if self.counts is None else self.counts.total

    @property
    def quantization(self) -> str | None:
        """The method by which the weights are quantised already; ``None``: they are not."""
        return None if self.weight_format is None else self.weight_format.method
