"""From the content of a config.json to ModelFacts. Pure.

Names of keys as vLLM 0.27.0 looks them up (vllm/transformers_utils/model_arch_config_convertor.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NoReturn

from autotuner.errors import StudyError
from autotuner.models.context import full_attention_layers, read_positions
from autotuner.models.facts import ModelFacts
from autotuner.models.quantization import read_weight_format
from autotuner.models.shapes import count_parameters

# Where models of several parts keep the one that makes text.
_TEXT_PARTS = ("text_config", "llm_config", "language_config", "thinker_config")
_LAYERS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_HIDDEN = ("hidden_size", "n_embd", "d_model")
_HEADS = ("num_attention_heads", "n_head", "n_heads")
_KV_HEADS = ("n_head_kv", "num_kv_heads", "num_key_value_heads", "multi_query_group_num", "num_attention_groups")
_EXPERTS = ("num_experts", "moe_num_experts", "n_routed_experts", "num_local_experts")
_ACTIVE = ("num_experts_per_tok", "moe_top_k", "top_k_experts", "moe_topk", "num_experts_per_token")
_TOO_LARGE = 10**12
_INTERMEDIATE = ("intermediate_size", "ffn_hidden_size", "n_inner")


def facts_of_config(
    config: Any, quantization: Mapping[str, Any] | None = None, source: str = "config.json"
) -> ModelFacts:
    """``quantization`` is the content of hf_quant_config.json. Raises StudyError that names ``source``."""
    if not isinstance(config, Mapping):
        refuse(source, config, "a map")
    fields = Fields(config, source)
    text = _text_part(fields)
    heads = text.count(*_HEADS)
    hidden = text.count(*_HIDDEN)
    own_family = text.text("model_type") or "unknown"  # of the part that makes text
    family = fields.text("model_type") or own_family
    window = text.count("sliding_window")
    if text.flag("use_sliding_window") is False:  # Qwen names a window that it does not use
        window = None
    limit, default = read_positions(text.raw, family)
    layers = text.count(*_LAYERS)
    facts = ModelFacts(
        family=family,
        architecture=next(iter(fields.texts("architectures")), None),
        layers=layers,
        hidden_size=hidden,
        intermediate_size=text.count(*_INTERMEDIATE),
        attention_heads=heads,
        kv_heads=text.count(*_KV_HEADS) or heads,
        head_dim=_head_dim(text, hidden, heads),
        vocabulary=text.count("vocab_size") or fields.count("vocab_size"),
        experts=text.count(*_EXPERTS) or 0,
        active_experts=text.count(*_ACTIVE) or 0,
        shared_experts=text.count("n_shared_experts", "num_shared_experts", "moe_num_shared_experts") or 0,
        expert_intermediate_size=text.count("moe_intermediate_size", "expert_intermediate_size"),
        positions=limit,
        default_positions=default,
        dtype=fields.text("dtype", "torch_dtype") or text.text("dtype", "torch_dtype"),
        kv_lora_rank=text.count("kv_lora_rank"),
        qk_rope_head_dim=text.count("qk_rope_head_dim"),
        sliding_window=window,
        full_attention_layers=full_attention_layers(text.raw, own_family, layers, window),
        tie_word_embeddings=_tied(fields, text),
    )
    facts = replace(facts, weight_format=read_weight_format(config, text.raw, quantization, facts))
    return count_parameters(facts, text.raw, own_family)


def refuse(source: str, value: object, rule: str) -> NoReturn:
    raise StudyError(f"model.id: {source}: {value!r:.80}: {rule}", key="model.id", value=source, rule=rule)


class Fields:
    """The keys of one map, each looked up under the names that models give it."""

    def __init__(self, raw: Mapping[str, Any], source: str) -> None:
        self.raw = raw
        self._source = source

    def part(self, name: str) -> Fields | None:
        value = self.raw.get(name)
        return Fields(value, self._source) if isinstance(value, Mapping) else None

    def count(self, *names: str) -> int | None:
        """A whole number from 1; 0 and null say nothing."""
        for name in names:
            value = self.raw.get(name)
            if isinstance(value, list) and value and len(set(map(str, value))) == 1:
                value = value[0]  # the same for every layer
            if value is None or value == 0 or isinstance(value, list):
                continue
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not 1 <= value < _TOO_LARGE or value != int(value):
                refuse(f"{self._source}: {name}", value, "a whole number from 1")
            return int(value)
        return None

    def text(self, *names: str) -> str | None:
        return next((value for name in names if isinstance(value := self.raw.get(name), str)), None)

    def texts(self, name: str) -> list[str]:
        value = self.raw.get(name)
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

    def flag(self, name: str) -> bool | None:
        value = self.raw.get(name)
        return value if isinstance(value, bool) else None


def _text_part(fields: Fields) -> Fields:
    for name in _TEXT_PARTS:
        part = fields.part(name)
        if part is not None:
            return _text_part(part)
    return fields


def _head_dim(text: Fields, hidden: int | None, heads: int | None) -> int | None:
    given = text.count("head_dim", "hidden_size_per_head")
    if text.count("kv_lora_rank"):
        parts = text.count("qk_nope_head_dim"), text.count("qk_rope_head_dim")
        return sum(part for part in parts if part is not None) or given
    if given is not None:
        return given
    return None if hidden is None or heads is None else hidden // heads


def _tied(fields: Fields, text: Fields) -> bool:
    told = [value for part in (text, fields) if (value := part.flag("tie_word_embeddings")) is not None]
    # Gemma's code shares them unless its config says no; so did all older Gemma configs, which leave it out.
    family = text.text("model_type") or ""
    return told[0] if told else family.startswith("gemma")
