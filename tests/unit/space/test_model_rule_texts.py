"""The rules that a model's shape makes, to the letter, and what every name can be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autotuner.models.facts import ModelFacts, WeightFormat
from autotuner.space import read_space
from autotuner.space.expression import Constraint
from autotuner.space.model_rules import Known, model_rules, possible_values
from autotuner.space.server_traits import ServerTraits
from tests.model_spaces import LLAMACPP, SGLANG, TRTLLM, VLLM, rules_of

SHAPE = ModelFacts("toy", layers=6, attention_heads=12, kv_heads=4, positions=4096, default_positions=4096)
MIXTURE = replace(SHAPE, experts=8, expert_intermediate_size=1536)
LATENT = replace(SHAPE, kv_lora_rank=512)
BLOCKS = WeightFormat("fp8", "fp8", 8.0, block=128)


def texts(facts: ModelFacts, parameters: dict[str, Any], traits: ServerTraits = VLLM, **known: Any) -> list[str]:
    return [rule.text for rule in rules_of(facts, parameters, traits, **known)]


# ── shapes ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("facts", "parameters", "traits", "rules"),
    [
        (SHAPE, {"tp": [1, 2, 4]}, VLLM, []),
        (SHAPE, {"tp": [1, 5]}, VLLM, ["12 % tp == 0", "4 % tp == 0 or tp % 4 == 0"]),
        (SHAPE, {"tp": [1, 6]}, VLLM, ["4 % tp == 0 or tp % 4 == 0"]),
        (SHAPE, {"tp": [1, 8]}, VLLM, ["12 % tp == 0"]),
        (replace(SHAPE, attention_heads=None), {"tp": [1, 5]}, VLLM, ["4 % tp == 0 or tp % 4 == 0"]),
        (replace(SHAPE, kv_heads=None), {"tp": [1, 5]}, VLLM, ["12 % tp == 0"]),
        (LATENT, {"tp": [1, 5]}, VLLM, ["12 % tp == 0"]),
        (SHAPE, {"tp": [1, 5], "dp": [1, 2]}, SGLANG,
         ["12 % (tp / dp) == 0", "4 % (tp / dp) == 0 or (tp / dp) % 4 == 0"]),
        (SHAPE, {"tp": [1, 5]}, SGLANG, ["12 % tp == 0", "4 % tp == 0 or tp % 4 == 0"]),
        (SHAPE, {"tp": [1, 5]}, ServerTraits(attention_tp="tp / cp"),
         ["12 % (tp / cp) == 0", "4 % (tp / cp) == 0 or (tp / cp) % 4 == 0"]),
        (SHAPE, {"pp": [6, 7]}, VLLM, ["pp <= 6"]),
        (SHAPE, {"pp": [5, 6]}, VLLM, []),
        (replace(SHAPE, layers=None), {"pp": [7]}, VLLM, []),
        (SHAPE, {"cp": [1, 2]}, VLLM, ["cp == 1"]),
        (replace(SHAPE, kv_heads=1), {"cp": [1, 2]}, VLLM, []),
        (LATENT, {"cp": [1, 2]}, VLLM, []),
        (SHAPE, {"cp": [1, 2]}, TRTLLM, []),
        (SHAPE, {"ep": [1, 2]}, VLLM, ["ep == 1"]),
        (SHAPE, {"moe-ep": [1, 2]}, VLLM, ["moe_ep == 1"]),
        (MIXTURE, {"ep": [8, 9], "moe-ep": [8, 9]}, VLLM, ["ep <= 8", "moe_ep <= 8"]),
        (MIXTURE, {"ep": [4, 3], "moe-ep": [8, 3]}, SGLANG, ["8 % ep == 0", "8 % moe_ep == 0"]),
        (replace(MIXTURE, experts=1), {"ep": [1, 2]}, SGLANG, ["ep == 1"]),
    ],
)  # fmt: skip
def test_rules_of_a_shape_that_some_config_breaks(
    facts: ModelFacts, parameters: dict[str, Any], traits: ServerTraits, rules: list[str]
) -> None:
    assert texts(facts, parameters, traits) == rules


@pytest.mark.parametrize(
    ("facts", "rule"),
    [
        (SHAPE, "dcp == 1 or dcp * 4 <= tp and 3 % dcp == 0"),
        (replace(SHAPE, attention_heads=None), "dcp == 1 or dcp * 4 <= tp and 1 % dcp == 0"),
        (replace(SHAPE, attention_heads=14), "dcp == 1 or dcp * 4 <= tp and 3 % dcp == 0"),
    ],
)
def test_decode_context_parallelism_takes_copies_of_heads_that_divide_a_group(facts: ModelFacts, rule: str) -> None:
    assert texts(facts, {"dcp": [1, 2]}) == [rule]


@pytest.mark.parametrize(
    ("facts", "parameters", "traits", "rules"),
    [
        (replace(SHAPE, intermediate_size=512), {"tp": [4, 12]}, VLLM, ["512 / tp % 128 == 0"]),
        (replace(SHAPE, intermediate_size=512), {"tp": [4, 12]}, TRTLLM, []),
        (replace(SHAPE, intermediate_size=None), {"tp": [4, 12]}, VLLM, []),
        (MIXTURE, {"tp": [4], "dp": [1, 5]}, VLLM, ["ep > 1 or 1536 / (4 * dp) % 128 == 0"]),
        (replace(MIXTURE, expert_intermediate_size=100), {}, VLLM, ["ep > 1 or 100 / 1 % 128 == 0"]),
        (MIXTURE, {"tp": [4], "ep": [1, 8], "dp": [1]}, SGLANG, []),
        (replace(MIXTURE, expert_intermediate_size=768), {"tp": [4, 12]}, SGLANG, ["768 * ep / tp % 128 == 0"]),
        (replace(MIXTURE, expert_intermediate_size=None, intermediate_size=100), {}, VLLM, []),
    ],
)
def test_weights_with_a_scale_for_each_block_are_cut_between_blocks(
    facts: ModelFacts, parameters: dict[str, Any], traits: ServerTraits, rules: list[str]
) -> None:
    assert texts(replace(facts, weight_format=BLOCKS), parameters, traits) == rules
    assert texts(replace(facts, weight_format=replace(BLOCKS, block=None)), parameters, traits) == []


# ── lengths ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("parameters", "tokens", "traits", "rules"),
    [
        ({"max-model-len": [4096]}, None, VLLM, []),
        ({"max-model-len": [4096, 4097]}, None, VLLM, ["max_model_len <= 4096"]),
        ({"max-model-len": [4097]}, None, LLAMACPP, []),
        ({}, 4096, VLLM, []),
        ({}, 4097, VLLM, ["4097 <= 4096"]),
        ({"max-model-len": [64, 100]}, 100, VLLM, ["max_model_len >= 100"]),
        ({"max-model-len": [0, 64]}, 100, VLLM, ["max_model_len <= 0 or max_model_len >= 100"]),
        ({"max-model-len": [-1, 64]}, 100, VLLM, ["max_model_len <= 0 or max_model_len >= 100"]),
        ({"max-model-len": [1, 64]}, 100, VLLM, ["max_model_len >= 100"]),
        ({"max-model-len": [100, 200]}, 100, VLLM, []),
        ({"slots": [5]}, 100, ServerTraits(request_room="slots >= {tokens}"), ["slots >= 100"]),
        ({"max-model-len": [5]}, 100, ServerTraits(request_room="slots >= {tokens}"), []),
    ],
)
def test_lengths_have_room_for_the_requests_and_for_no_more_than_the_model_is_made_for(
    parameters: dict[str, Any], tokens: int | None, traits: ServerTraits, rules: list[str]
) -> None:
    assert texts(SHAPE, parameters, traits, tokens=tokens) == rules


def test_without_positions_nothing_is_too_long() -> None:
    endless = replace(SHAPE, positions=None)
    assert texts(endless, {"max-model-len": [10**6]}, tokens=10**6) == []


def test_of_an_unknown_model_the_requests_alone_ask_for_something() -> None:
    known = Known({"max_model_len": (64,)}, {"max_model_len": "max_model_len"}, 1.0, 100)
    assert [rule.text for rule in model_rules(None, known)] == ["max_model_len >= 100"]


def test_more_rules_come_after_those_of_the_shape_and_hold_under_the_same_condition() -> None:
    values: dict[str, tuple[Any, ...]] = {"tp": (1, 5), "e": ("x", "y"), "n": (1, 2)}
    more = [Constraint("n > 1", "k", "why"), Constraint("n > 0", "k"), Constraint("gone > 1", "k")]
    rules = model_rules(SHAPE, Known(values), when="e == 'x'", more=more)
    assert [rule.text for rule in rules] == [
        "not (e == 'x') or (12 % tp == 0)",
        "not (e == 'x') or (4 % tp == 0 or tp % 4 == 0)",
        "not (e == 'x') or (n > 1)",
    ]
    assert (rules[2].key, rules[2].reason) == ("k", "why")


@pytest.mark.parametrize(("count", "kept"), [(20_000, []), (20_001, ["n * m >= 1"])])
def test_of_more_cases_than_are_tried_a_rule_is_kept(count: int, kept: list[str]) -> None:
    known = Known({"n": tuple(range(1, count + 1)), "m": (1,)})
    assert [rule.text for rule in model_rules(None, known, more=[Constraint("n * m >= 1", "k")])] == kept


# ── in words ──────────────────────────────────────────────────────────────────────────────────


def test_what_is_told_of_the_rules() -> None:
    parameters = {"tp": [5], "pp": [7], "dcp": [2], "ep": [9], "moe-ep": [9], "max-model-len": [9999]}
    told = [rule.reason for rule in rules_of(MIXTURE, parameters, VLLM, tokens=5000)]
    assert told == [
        "tp must divide the model's 12 attention heads",
        "tp must divide the model's 4 KV heads, or be a multiple of them",
        "dcp is at most tp / 4, the copies that there are of a KV head, and divides 3",
        "the model has 6 layers: a pipeline stage needs one",
        "the model has 8 experts",
        "the model has 8 experts",
        "the model is made for 4096 tokens of context",
        "a request of the workload has 5000 tokens, input and output together; the model is made for 4096",
    ]


# ── what names can be ─────────────────────────────────────────────────────────────────────────


def test_what_every_name_can_be() -> None:
    space = read_space(
        {
            "tp": [1, 2],
            "narrow": {"int": [1, 63]},
            "wide": {"int": [1, 64]},
            "real": {"float": [0.5, 0.9]},
            "label": {"choices": {"a": {"x": 1}, "b": None}},
            "max-len": [None, 5],
        }
    )
    found = possible_values(space.parameters, {"gpu-memory": 0.9, "flag": True, "list": [1], "none": None, "tp": 8})
    assert found["tp"] == (1, 2)
    assert found["narrow"] == tuple(range(1, 64))
    assert (found["wide"], found["real"]) == ((1, 64), (0.5, 0.9))
    assert (found["label"], found["max_len"]) == (("a", "b"), (None, 5))
    assert (found["gpu_memory"], found["flag"], found["none"]) == ((0.9,), (True,), (None,))
    assert "list" not in found
    assert (found["pp"], found["moe_ep"], found["quant.gemm"]) == ((1,), (1,), ("auto",))
