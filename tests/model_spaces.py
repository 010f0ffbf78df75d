"""Models of tests/unit/models/model_configs, and the spaces that their rules leave."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from autotuner.models.config_json import facts_of_config
from autotuner.models.facts import ModelFacts
from autotuner.space import read_space
from autotuner.space.expression import Constraint
from autotuner.space.model_rules import Known, model_rules, possible_values
from autotuner.space.search_space import SearchSpace
from autotuner.space.server_traits import ServerTraits

CONFIGS = Path(__file__).parent / "unit" / "models" / "model_configs"
# As the three engines lay models out.
VLLM = ServerTraits(whole_blocks=True, holds_longest=True, cp_splits="experts", cp_needs_mla=True)
SGLANG = ServerTraits(dp_inside_tp=True, even_experts=True, whole_blocks=True)
TRTLLM = ServerTraits(even_experts=True, fraction_of="rest")
LLAMACPP = ServerTraits(
    gpu_only=False,
    limits_positions=False,
    request_room="ctx_size == 0 or kv_unified == true or parallel < 1 or ctx_size / parallel >= {tokens}",
)
CONCEPTS = {"max_model_len": "max_model_len", "gpu_memory_fraction": "gpu_memory", "cpu_offload": "offload"}


def facts_of(name: str) -> ModelFacts:
    return facts_of_config(json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8")))


def rules_of(
    facts: ModelFacts,
    parameters: dict[str, Any],
    traits: ServerTraits = VLLM,
    *,
    memory_gib: float | None = None,
    tokens: int | None = None,
    variants: Mapping[str, ModelFacts | None] | None = None,
    when: str = "",
    **fixed: Any,
) -> list[Constraint]:
    values = possible_values(read_space(parameters).parameters, fixed)
    return model_rules(facts, Known(values, CONCEPTS, memory_gib, tokens, variants or {}), traits, when=when)


def space_of(facts: ModelFacts, parameters: dict[str, Any], traits: ServerTraits = VLLM, **known: Any) -> SearchSpace:
    """The parameters under the model's rules. Other words than those of ``rules_of`` are fixed flags."""
    fixed = {name: value for name, value in known.items() if name not in ("memory_gib", "tokens", "variants", "when")}
    constants = dict.fromkeys(("tp", "pp", "dp", "ep", "dcp", "cp", "moe_ep"), 1) | fixed
    return read_space(parameters, constraints=rules_of(facts, parameters, traits, **known), fixed=constants)


def allowed(space: SearchSpace, name: str) -> list[Any]:
    return sorted({config.values[name] for config in space.grid()})
