"""Searches that prompts of random tokens would answer wrongly."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from autotuner.api.checking import check
from autotuner.engines import build_space, random_token_problems
from autotuner.study import Study, load_study_text

CONFIGS = Path(__file__).parents[1] / "models" / "model_configs"


def told(engine: Any, parameters: dict[str, Any], *, is_moe: bool = True, **space: Any) -> list[str]:
    """The rules of the warnings."""
    study = Study.model_validate(
        {
            "model": {"id": "org/model"},
            "engine": {"name": engine},
            "space": {"parameters": parameters, **space},
            "workload": {"scenario": "D(8,8)"},
        }
    )
    found = list(random_token_problems(study, build_space(study), is_moe=is_moe))
    assert not any(problem.fatal for problem in found)
    return [problem.rule for problem in found]


@pytest.mark.parametrize(
    ("engine", "name", "values"),
    [
        ("vllm", "moe-backend", ["auto", "triton"]),
        ("vllm", "enable-eplb", [False, True]),
        ("vllm", "all2all_backend", ["naive", "deepep_low_latency"]),
        ("vllm", "expert-placement-strategy", ["linear", "round_robin"]),
        ("sglang", "moe-a2a-backend", ["none", "deepep"]),
        ("sglang", "deepep-mode", ["auto", "normal"]),
        ("sglang", "ep-num-redundant-experts", [0, 8]),
        ("trtllm", "moe_config.backend", ["CUTLASS", "TRTLLM"]),
        (["vllm", "sglang"], "sglang.moe-runner-backend", ["auto", "triton"]),
    ],
)
def test_what_is_about_experts_is_told_for_a_model_that_has_them(engine: Any, name: str, values: list[Any]) -> None:
    (rule,) = told(engine, {name: values})
    assert rule.startswith(f"{name} is searched: random tokens spread over experts")
    assert told(engine, {name: values}, is_moe=False) == []
    assert told(engine, {name: values[:1]}) == [], "what does not vary falsifies nothing"


@pytest.mark.parametrize(
    ("engine", "name", "values"),
    [
        ("vllm", "max-num-seqs", [8, 16]),
        ("sglang", "num-continuous-decode-steps", [1, 2]),
        ("sglang", "keep-mm-feature-on-device", [True, False]),
        ("vllm", "env.VLLM_MOE_DP_CHUNK_SIZE", ["1", "2"]),
    ],
)
def test_other_flags_are_not_told(engine: str, name: str, values: list[Any]) -> None:
    assert told(engine, {name: values}) == []


def test_one_warning_names_all_that_it_is_about() -> None:
    (rule,) = told("sglang", {"moe-runner-backend": ["auto", "triton"]}, parallelism={"ep": [1, 2], "tp": [2]})
    assert "ep, moe-runner-backend are searched" in rule


@pytest.mark.parametrize(
    ("engine", "name", "values"),
    [
        ("sglang", "speculative-num-steps", [1, 2]),
        ("sglang", "speculative-moe-runner-backend", ["auto", "triton"]),
        ("vllm", "spec-tokens", [1, 2]),
    ],
)
def test_all_of_speculation_is_told_once(engine: str, name: str, values: list[Any]) -> None:
    (rule,) = told(engine, {name: values})
    assert "speculative decoding" in rule


@pytest.mark.parametrize(("engine", "name"), [("vllm", "enable_prefix_caching"), ("sglang", "disable_radix_cache")])
def test_a_prefix_cache_is_known_by_any_spelling(engine: str, name: str) -> None:
    (rule,) = told(engine, {name: [True, False]})
    assert f"{name} is searched: random prompts share no prefix" in rule


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
@pytest.mark.parametrize(("model", "warned"), [("qwen3-30b-a3b", True), ("qwen3-32b", False)])
def test_the_shipped_spaces_for_experts_ask_for_a_dataset(
    tmp_path: Path, engine: str, model: str, warned: bool
) -> None:
    (tmp_path / "model").mkdir()
    shutil.copy(CONFIGS / f"{model}.json", tmp_path / "model" / "config.json")
    text = f"model: {{id: ./model}}\nengine: {{name: {engine}}}\nspace: {{include: [{engine}/moe]}}\n"
    study = load_study_text(text + "workload: {scenario: 'D(8,8)'}\n", tmp_path).study
    warnings = [text for text in check(study).warnings if "spread over experts" in text]
    assert bool(warnings) == warned
