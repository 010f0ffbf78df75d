"""How long a context a model takes, and which of its layers keep all of it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

_POSITIONS = (
    "max_position_embeddings",
    "n_positions",
    "max_seq_len",
    "seq_length",
    "max_sequence_length",
    "max_seq_length",
    "model_max_length",
)
# Keys of models that mix attention with something else, or compress it, in a way of their own.
_UNKNOWN_MIXES = (
    "hybrid_override_pattern",
    "hybrid_layer_pattern",
    "layers_block_type",
    "block_configs",
    "attn_layer_period",
    "attention_chunk_size",
    "compress_ratios",
    "linear_attn_config",
    "cross_attention_layers",
)


def read_positions(text: Mapping[str, Any], family: str) -> tuple[int | None, int | None]:
    """The longest context in tokens, and the one that is taken by default.

    As vLLM 0.27.0 does in vllm/config/model.py, ``_get_and_verify_max_len``: YaRN and linear scaling multiply,
    YaRN from its original length; llama3 and LongRoPE do not; Gemma 3's figure is scaled already.
    """
    told = [number for name in _POSITIONS if (number := _number(text.get(name))) is not None]
    if not told:
        return None, None
    limit = min(told)
    if "gemma3" in family:
        return int(limit), int(limit)
    factor, long_rope = 1.0, False
    for rope in _ropes(text):
        kind = rope.get("rope_type", rope.get("type"))
        long_rope |= kind in ("longrope", "su")
        if kind in ("longrope", "su", "llama3"):
            continue
        factor = _number(rope.get("factor")) or factor
        if kind == "yarn":
            limit = _number(rope.get("original_max_position_embeddings")) or limit
    longest = math.floor(limit * factor)
    original = _number(text.get("original_max_position_embeddings"))
    return longest, int(original) if long_rope and original is not None else longest


def full_attention_layers(text: Mapping[str, Any], family: str, layers: int | None, window: int | None) -> int | None:
    """Layers whose KV cache grows with the whole context; ``None`` where the config leaves it open."""
    kinds = text.get("layer_types")
    if isinstance(kinds, list):
        return len([kind for kind in kinds if kind == "full_attention"])
    if layers is None or any(text.get(name) for name in _UNKNOWN_MIXES):
        return None
    interval = _number(text.get("full_attention_interval"))  # Qwen3-Next: the others are linear
    if interval is not None:
        return int(layers // interval)
    if window is None:
        return layers
    if family == "gemma2":
        return layers // 2  # every other layer, by transformers' configuration_gemma2.py
    if family.startswith("gemma3"):
        return int(layers // (_number(text.get("sliding_window_pattern")) or 6))
    return 0 if family in ("mistral", "mixtral") else None


def _ropes(text: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """One map, or one for each kind of layer."""
    rope = text.get("rope_parameters") or text.get("rope_scaling")
    if not isinstance(rope, Mapping):
        return
    nested = [value for value in rope.values() if isinstance(value, Mapping)]
    yield from nested or [rope]


def _number(value: Any) -> float | None:
    """A number above 0; absurd ones, as tokenizers have them for "no limit", say nothing."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and 0 < value < 1e12 else None
