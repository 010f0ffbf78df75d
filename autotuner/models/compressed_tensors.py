"""How a checkpoint of compressed-tensors is quantised, judged by all of its groups. Pure.

A group names its ``targets``: modules by name, by a pattern (``re:``) from the start of the name, or by their class.
Names go before classes, and what ``ignore`` names is left as it is (vLLM 0.27.0,
vllm/model_executor/layers/quantization/compressed_tensors/utils.py: find_matched_target, should_ignore_layer).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, product
from typing import Any

from autotuner.models.facts import ModelFacts, WeightFormat

METHOD = "compressed-tensors"
_PLAIN_BITS = 16.0
_PATTERN = "re:"
# In front of a layer's modules, of models that make text alone and of those of several parts.
_PREFIXES = ("model.", "model.language_model.", "language_model.model.", "language_model.", "")
_ATTENTION, _MLP, _SHARED, _EXPERTS = "attention", "mlp", "shared experts", "experts"
# Words in the names of classes, for targets that are neither names nor the Linear of all.
_CLASSES = {_ATTENTION: ("attention", "attn"), _MLP: ("mlp",), _SHARED: ("shared",), _EXPERTS: ("expert", "moe")}
_FUSED = {"gate_proj": ("gate_up_proj", "w1"), "up_proj": ("gate_up_proj", "w3"), "down_proj": ("w2",)}


@dataclass(frozen=True)
class _Module:
    """Matrices of one kind in one layer: under which names, and how many weights."""

    part: str
    names: tuple[str, ...]
    weights: float


@dataclass(frozen=True)
class _Group:
    targets: tuple[str, ...]
    kind: str
    bits: float
    block: int | None

    @cached_property
    def patterns(self) -> list[re.Pattern[str]]:
        return _patterns(self.targets)

    def is_named(self, module: _Module) -> bool:
        return _is_among(module.names, self.targets, self.patterns)

    def has_class(self, module: _Module) -> bool:
        classes = [target.lower() for target in self.targets if not target.startswith(_PATTERN)]
        return any("linear" in name or any(word in name for word in _CLASSES[module.part]) for name in classes)


def read_compressed_tensors(given: Mapping[str, Any], facts: ModelFacts) -> WeightFormat | None:
    """``facts`` are the model's shapes. ``None`` for a checkpoint that is only made sparse."""
    told = given.get("config_groups")
    groups = [_group(one) for one in told.values() if _weights(one)] if isinstance(told, Mapping) else []
    known = [group for group in groups if group is not None]
    if not groups:
        return None
    if len(known) < len(groups):
        return WeightFormat(METHOD, METHOD)
    ignored = [name for name in given.get("ignore") or () if isinstance(name, str)]
    kv_cache = "fp8" if given.get("kv_cache_scheme") else None
    return _of_parts(known, _assigned(known, ignored, list(_modules(facts))), facts, kv_cache)


def _of_parts(
    groups: Sequence[_Group], assigned: list[tuple[_Module, _Group | None]], facts: ModelFacts, kv_cache: str | None
) -> WeightFormat:
    """One format for the experts, where there are some, and one for all else."""
    used = [group for _, group in assigned if group is not None]
    if not used:  # modules of other names than ours: the least that they can take
        least = min(groups, key=lambda group: group.bits)
        return WeightFormat(METHOD, _kind(groups), least.bits, block=least.block, kv_cache=kv_cache)
    kind = _kind([group for group in groups if group in used])
    experts = [one for one in assigned if one[0].part == _EXPERTS]
    others = [one for one in assigned if one[0].part != _EXPERTS]
    own = experts or others
    block = next((group.block for module, group in own if group is not None and module.part != _ATTENTION), None)
    bits, shared = _bits(own), _bits(others)
    if not facts.is_moe or shared == bits:
        return WeightFormat(METHOD, kind, bits, block=block, kv_cache=kv_cache)
    if shared == _PLAIN_BITS:
        return WeightFormat(METHOD, kind, bits, block=block, experts_only=True, kv_cache=kv_cache)
    return WeightFormat(METHOD, kind, bits, block=block, kv_cache=kv_cache, shared_bits=shared)


def _kind(groups: Iterable[_Group]) -> str:
    return " + ".join(dict.fromkeys(group.kind for group in groups))


def _bits(assigned: Sequence[tuple[_Module, _Group | None]]) -> float:
    """Of one weight, on average."""
    total = sum(module.weights for module, _ in assigned)
    bits = sum(module.weights * (_PLAIN_BITS if group is None else group.bits) for module, group in assigned)
    return round(bits / total, 6)


def _assigned(
    groups: Sequence[_Group], ignored: Sequence[str], modules: Sequence[_Module]
) -> list[tuple[_Module, _Group | None]]:
    patterns = _patterns(ignored)
    found = []
    for module in modules:
        named = (group for group in groups if group.is_named(module))
        of_class = (group for group in groups if group.has_class(module))
        group = None if _is_among(module.names, ignored, patterns) else next(chain(named, of_class), None)
        found.append((module, group))
    return found


def _patterns(targets: Sequence[str]) -> list[re.Pattern[str]]:
    found = []
    for target in targets:
        if target.startswith(_PATTERN):
            try:
                found.append(re.compile(target.removeprefix(_PATTERN)))
            except re.error:
                continue
    return found


def _is_among(names: Sequence[str], targets: Sequence[str], patterns: Sequence[re.Pattern[str]]) -> bool:
    return not set(targets).isdisjoint(names) or any(pattern.match(name) for pattern in patterns for name in names)


def _modules(facts: ModelFacts) -> Iterator[_Module]:
    """The matrices of all layers, experts by the first of them."""
    hidden, heads, size = facts.hidden_size or 1, facts.attention_heads or 1, facts.head_dim or 1
    keys = (facts.kv_heads or heads) * size
    attention = {"q_proj": heads * size, "k_proj": keys, "v_proj": keys, "o_proj": heads * size}
    if facts.is_mla:
        attention = dict.fromkeys(("q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "kv_b_proj", "o_proj"), size)
    width, dense = facts.expert_intermediate_size or facts.intermediate_size or 1, facts.intermediate_size or 1
    for layer in range(facts.layers or 1):
        for name, columns in attention.items():
            fused = () if name == "o_proj" else ("qkv_proj",)
            yield _module(_ATTENTION, layer, ("self_attn", "attn"), (name, *fused), hidden * columns)
        for name, also in _FUSED.items():
            words = (name, *also)
            if not facts.is_moe:
                yield _module(_MLP, layer, ("mlp", "feed_forward"), words, hidden * dense)
                continue
            homes = ("mlp.experts.0", "block_sparse_moe.experts.0", "mlp.experts", "feed_forward.experts")
            yield _module(_EXPERTS, layer, homes, words, facts.experts * hidden * width)
            if facts.shared_experts:
                shared = ("mlp.shared_experts", "mlp.shared_expert", "feed_forward.shared_expert")
                yield _module(_SHARED, layer, shared, words, facts.shared_experts * hidden * width)


def _module(part: str, layer: int, homes: Sequence[str], words: Sequence[str], weights: float) -> _Module:
    names = (f"{p}layers.{layer}.{home}.{word}" for p, home, word in product(_PREFIXES, homes, words))
    return _Module(part, tuple(names), float(weights))


def _weights(group: object) -> Mapping[str, Any] | None:
    weights = group.get("weights") if isinstance(group, Mapping) else None
    return weights if isinstance(weights, Mapping) else None


def _group(group: Mapping[str, Any]) -> _Group | None:
    """``None`` for one that does not say how many bits a weight has."""
    weights = _weights(group) or {}
    bits, size = number_of(weights.get("num_bits")), number_of(weights.get("group_size"))
    if bits is None:
        return None
    kind = f"int{bits:g}" if weights.get("type") != "float" else "nvfp4" if bits == 4 else f"fp{bits:g}"
    scale_bits = 8 if kind == "nvfp4" else 16
    targets = tuple(name for name in group.get("targets") or () if isinstance(name, str)) or ("Linear",)
    return _Group(
        targets,
        kind,
        bits + (scale_bits / size if size and size > 0 else 0),
        square_block(weights.get("block_structure")),
    )


def square_block(given: Any) -> int | None:
    """The side at which matrices can be cut, where both sides of a block are the same."""
    if isinstance(given, list) and len(given) == 2 and given[0] == given[1] and number_of(given[0]):
        return int(given[0])
    return None


def number_of(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
