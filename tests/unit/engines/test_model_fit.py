"""Rules of an engine that the model completes: what stands for a length that is not set."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autotuner.engines import build_space, model_constraints
from autotuner.errors import SpaceError
from autotuner.space import SearchSpace
from autotuner.study.model import Study
from tests.model_spaces import facts_of


def study_of(parameters: dict[str, Any], name: str | list[str] = "vllm", **engine: Any) -> Study:
    return Study.model_validate(
        {
            "model": {"id": "org/model"},
            "engine": {"name": name, **engine},
            "workload": {"scenario": "D(8,8)"},
            "space": {"parameters": parameters},
        }
    )


def space_of(study: Study, model: str = "qwen3-32b") -> SearchSpace:
    """Of a model that is made for 40960 tokens."""
    return build_space(study, model_constraints(study, build_space(study), facts_of(model), {}, 16))


def values(space: SearchSpace, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(config.values.get(name) for name in names) for config in space.grid()]


def test_without_chunked_prefill_a_step_holds_the_model_s_own_length() -> None:
    """vLLM 0.32.0 refuses fewer max_num_batched_tokens than max_model_len, SchedulerConfig.verify_max_model_len."""
    sizes = {"max-num-batched-tokens": [8192, 40960, 65536]}
    space = space_of(study_of(sizes, args={"enable-chunked-prefill": False}))
    assert values(space, "max-num-batched-tokens") == [(40960,), (65536,)]
    (rule,) = [rule for rule in space.constraints if "40960" in rule.reason]
    assert rule.key == "model.id"
    assert rule.reason == (
        "without chunked prefill the longest prompt (max-model-len) must fit into max-num-batched-tokens; "
        "where it is not set it is the model's own, 40960"
    )
    assert len(values(space_of(study_of(sizes)), "max-num-batched-tokens")) == 3
    given = space_of(study_of(sizes, args={"enable-chunked-prefill": False, "max-model-len": 8192}))
    assert len(values(given, "max-num-batched-tokens")) == 3


def test_what_is_fixed_is_refused() -> None:
    args = {"enable-chunked-prefill": False, "max-num-batched-tokens": 8192}
    with pytest.raises(SpaceError, match="it is the model's own, 40960"):
        space_of(study_of({"max-num-seqs": [16, 32]}, args=args))
    assert space_of(study_of({"max-num-seqs": [16, 32]}, args=args | {"max-num-batched-tokens": None}))


def test_a_length_that_may_stay_unset_is_judged_where_it_does() -> None:
    parameters = {"max-model-len": [None, 8192], "enable-chunked-prefill": [True, False]}
    space = space_of(study_of(parameters, args={"max-num-batched-tokens": 16384}))
    assert values(space, "max-model-len", "enable-chunked-prefill") == [(None, True), (8192, True), (8192, False)]


def test_of_several_engines_only_the_one_with_the_rule_is_bound() -> None:
    parameters = {"vllm.enable-chunked-prefill": [True, False]}
    per_engine = {"vllm": {"args": {"max-num-batched-tokens": 16384}}}
    space = space_of(study_of(parameters, ["vllm", "sglang"], per_engine=per_engine))
    assert values(space, "engine", "vllm.enable-chunked-prefill") == [("vllm", True), ("sglang", None)]


def test_a_length_that_overrides_change_is_not_known() -> None:
    args = {"enable-chunked-prefill": False, "max-num-batched-tokens": 8192, "hf-overrides": {"rope_scaling": {}}}
    assert space_of(study_of({"max-num-seqs": [16, 32]}, args=args))


def test_of_several_checkpoints_the_shortest_length_of_their_own_stands_for_one_that_is_not_set() -> None:
    study = study_of({"max-num-batched-tokens": [8192, 65536]}, args={"enable-chunked-prefill": False})
    longer, unknown = replace(facts_of("qwen3-32b"), default_positions=50_000), None
    found = model_constraints(study, build_space(study), facts_of("qwen3-32b"), {"a": longer, "b": unknown}, 16)
    [rule] = [rule for rule in found if "it is the model's own" in rule.reason]
    assert rule.reason.endswith("it is the model's own, 40960")
    assert "40960" in rule.text
