"""Formats against checkpoints that have one already: what is written, and what engines then say.

The verdicts are those of the engines' own code, asked by hand: vLLM 0.32.0, ModelConfig._verify_quantization with
each config.json; SGLang 0.5.23, _verify_quantization in srt/configs/model_config.py. One is stricter: checkpoints of
ModelOpt, and of gpt-oss in vLLM, start under any name of a format, and keep their own.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from autotuner.engines import Address, build_space, get_engine, requantization_problems
from autotuner.errors import StudyError
from autotuner.models.config_json import facts_of_config
from autotuner.models.facts import ModelFacts, WeightFormat
from autotuner.space.config import Config
from autotuner.space.quantization import QUANTIZATION_PRESETS
from autotuner.study.model import Study
from tests.model_spaces import CONFIGS, facts_of

PLAIN = (
    *("gemma-2-9b", "gemma-4-26b-a4b", "llama-3.1-70b", "llama-3.1-8b", "mixtral-8x7b", "qwen3-235b-a22b"),
    *("qwen3-30b-a3b", "qwen3-32b", "qwen3.5-27b"),
)
QUANTISED = (
    *("deepseek-v3", "gpt-oss-120b", "kimi-k2.5", "qwen2.5-7b-awq", "qwen2.5-7b-gptq-int4"),
    *("qwen3-32b-fp8", "qwen3-32b-fp8-modelopt"),
)
_VLLM_16, _SGLANG_16 = ["--dtype", "bfloat16", "--kv-cache-dtype", "bfloat16"], ["--dtype", "bfloat16"]
# Preset → what is written of it, None where that is refused for any model.
WRITTEN: dict[str, dict[str, list[str] | None]] = {
    "vllm": {
        "default": [],
        "kv-cache-fp8": ["--kv-cache-dtype", "fp8"],
        "dynamic-fp8": ["--kv-cache-dtype", "fp8", "--quantization", "fp8_per_tensor"],
        "bf16-stable": _VLLM_16,
        "aggressive-moe": [
            *("--kv-cache-dtype", "fp8", "--quantization", "fp8_per_tensor"),
            *("--quantization-config", '{"moe":"fp8_per_tensor"}'),
        ],
    },
    "sglang": {
        "default": [],
        "kv-cache-fp8": ["--kv-cache-dtype", "fp8_e4m3"],
        "dynamic-fp8": ["--kv-cache-dtype", "fp8_e4m3", "--quantization", "fp8"],
        "bf16-stable": [*_SGLANG_16, "--kv-cache-dtype", "bfloat16"],
        "aggressive-moe": ["--kv-cache-dtype", "fp8_e4m3", "--quantization", "fp8"],
    },
    # It quantises nothing itself: fp8 weights are another checkpoint.
    "trtllm": {
        "default": [],
        "kv-cache-fp8": ["kv_cache_config.dtype: fp8"],
        "dynamic-fp8": None,
        "bf16-stable": [],
        "aggressive-moe": None,
    },
    "llamacpp": {
        "default": [],
        "kv-cache-fp8": ["--cache-type-k", "q8_0", "--cache-type-v", "q8_0"],
        "dynamic-fp8": None,
        "bf16-stable": None,
        "aggressive-moe": None,
    },
}
# Engine and preset → checkpoints that it does not take with what is written.
REFUSED = {
    ("vllm", "dynamic-fp8"): set(QUANTISED),
    ("vllm", "aggressive-moe"): set(QUANTISED),
    ("sglang", "dynamic-fp8"): set(QUANTISED) - {"qwen3-32b-fp8", "deepseek-v3"},
    ("sglang", "aggressive-moe"): set(QUANTISED) - {"qwen3-32b-fp8", "deepseek-v3"},
}
ADDRESS = Address("10.0.0.7", 8111)


def study_of(name: str | list[str], quantization: dict[str, Any] | None = None, **sections: Any) -> Study:
    return Study.model_validate(
        {
            "model": {"id": "org/model"},
            "workload": {"scenario": "D(8,8)"},
            "space": {"quantization": quantization or {}},
            **sections,
            "engine": {"name": name, **sections.get("engine", {})},
        }
    )


def refused(facts: ModelFacts, study: Study) -> list[tuple[str, Any, str | None]]:
    return [(p.key, p.value, p.nearest) for p in requantization_problems(study, build_space(study), facts)]


def written(engine: str, study: Study | None = None, /, **quantization: str) -> list[str]:
    """The formats in the argv, and in the configuration file."""
    study = study or study_of(engine, model={"id": "org/model.gguf" if engine == "llamacpp" else "org/model"})
    config = Config({f"quant.{name}": value for name, value in quantization.items()})
    (rank,) = get_engine(engine).deployment(study, config).groups[0].ranks
    argv = rank.bound_argv(ADDRESS, ADDRESS, "/files")
    told = []
    for flag, value in itertools.pairwise(argv):
        if any(part in flag for part in ("quantization", "dtype", "cache-type")):
            told += [flag, value]
    for content in rank.files.values():
        told += [f"{key}.{name}: {value}" for key, inner in _map(content).items() for name, value in inner.items()]
    return told


def formats_of(config: Config) -> dict[str, str]:
    return {name.removeprefix("quant."): value for name, value in config.values.items()}


def _map(content: str) -> dict[str, dict[str, Any]]:
    found = yaml.safe_load(content)
    return {key: value for key, value in found.items() if isinstance(value, dict)}


def test_the_table_has_every_checkpoint_and_every_preset() -> None:
    names = {path.stem for path in CONFIGS.glob("*.json") if "hf_quant_config" not in path.name}
    assert names == {*PLAIN, *QUANTISED}
    assert all(set(presets) == set(QUANTIZATION_PRESETS) for presets in WRITTEN.values())


@pytest.mark.parametrize("engine", WRITTEN)
@pytest.mark.parametrize("preset", QUANTIZATION_PRESETS)
def test_what_is_written_of_a_preset(engine: str, preset: str) -> None:
    formats = formats_of(Config(QUANTIZATION_PRESETS[preset].as_dict()))
    expected = WRITTEN[engine][preset]
    if expected is not None:
        assert written(engine, **formats) == expected
    else:
        with pytest.raises(StudyError):
            written(engine, **formats)


@pytest.mark.parametrize("engine", WRITTEN)
@pytest.mark.parametrize("preset", QUANTIZATION_PRESETS)
@pytest.mark.parametrize("name", [*PLAIN, *QUANTISED])
def test_a_preset_is_refused_where_the_engine_refuses_what_is_written_of_it(
    name: str, preset: str, engine: str
) -> None:
    found = refused(facts_of(name), study_of(engine, {"preset": preset}))
    assert bool(found) is (name in REFUSED.get((engine, preset), ())), found
    assert all(nearest == "auto" for _, _, nearest in found)


@pytest.mark.parametrize(
    ("engine", "name", "formats", "expected"),
    [
        ("vllm", "qwen3-32b-fp8", {"gemm": ["auto", "fp8"]}, ["gemm"]),
        ("vllm", "qwen3-32b-fp8", {"gemm": ["fp8_block"]}, ["gemm"]),
        ("vllm", "deepseek-v3", {"moe": ["fp8"]}, ["moe"]),
        ("vllm", "deepseek-v3", {"gemm": ["fp8"], "moe": ["auto", "int8"]}, ["gemm", "moe"]),
        ("sglang", "qwen3-32b-fp8", {"gemm": ["auto", "fp8"]}, []),
        ("sglang", "deepseek-v3", {"moe": ["fp8"]}, []),
        ("sglang", "qwen2.5-7b-awq", {"gemm": ["fp8"]}, ["gemm"]),
        ("trtllm", "gpt-oss-120b", {"moe": ["mxfp4", "fp8"]}, []),  # the checkpoint's own format, whichever is named
        ("vllm", "qwen2.5-7b-awq", {"gemm": ["float16", "bfloat16"]}, []),  # what the rest is computed in
        ("vllm", "qwen3-32b-fp8", {"gemm": ["bfloat16"]}, []),
        ("vllm", "qwen3-32b-fp8", {"gemm": ["float32"]}, ["gemm"]),
        ("vllm", "kimi-k2.5", {"gemm": ["float32"]}, []),
        ("vllm", "gpt-oss-120b", {"gemm": ["bfloat16"]}, []),
        ("vllm", "gpt-oss-120b", {"gemm": ["float16"]}, ["gemm"]),
        ("sglang", "gpt-oss-120b", {"gemm": ["float16"]}, []),
        ("sglang", "qwen2.5-7b-gptq-int4", {"gemm": ["bfloat16"]}, []),
        ("vllm", "llama-3.1-8b", {"gemm": ["fp8", "float32"], "moe": ["fp8"]}, []),
    ],
)
def test_a_quantised_checkpoint_is_not_quantised_anew(
    engine: str, name: str, formats: dict[str, list[str]], expected: list[str]
) -> None:
    facts = facts_of(name)
    found = list(requantization_problems(study := study_of(engine, formats), build_space(study), facts))
    assert [problem.key.removeprefix("space.quantization.") for problem in found] == expected
    for problem in found:
        assert problem.nearest == "auto"
        assert f"config.json says weights that are quantised already, {facts.quantization}" in problem.rule


def test_the_rule_says_what_would_be_written() -> None:
    study = study_of(["vllm", "sglang"], {"gemm": ["auto", "fp8"]})
    (problem,) = requantization_problems(study, build_space(study), facts_of("qwen3-32b-fp8"))
    assert problem.rule == (
        "config.json says weights that are quantised already, fp8; vllm loads no fp8 weights with "
        "--quantization fp8_per_tensor: leave it auto, or name another checkpoint in model.variants.fp8"
    )


@pytest.mark.parametrize(
    ("engine", "name", "args", "expected"),
    [
        ("vllm", "qwen3-32b-fp8", {"quantization": "fp8"}, []),
        ("vllm", "qwen3-32b-fp8", {"quantization": "fp8_per_tensor"}, [("engine.args.quantization", "fp8")]),
        ("vllm", "qwen3-32b-fp8", {"quantization": "modelopt_fp4"}, [("engine.args.quantization", "fp8")]),
        ("sglang", "qwen3-32b-fp8", {"quantization": "modelopt_fp4"}, []),
        ("vllm", "qwen2.5-7b-awq", {"quantization": "awq_marlin"}, []),
        ("vllm", "qwen2.5-7b-gptq-int4", {"quantization": "moe_wna16"}, []),
        ("vllm", "qwen2.5-7b-gptq-int4", {"q": "awq"}, [("engine.args.q", "gptq")]),
        ("sglang", "qwen3-32b-fp8-modelopt", {"quantization": "modelopt_fp8"}, []),
        ("sglang", "qwen3-32b-fp8-modelopt", {"quantization": "fp8"}, [("engine.args.quantization", "modelopt")]),
        ("vllm", "deepseek-v3", {"quantization-config": {"moe": "mxfp8"}}, [("engine.args.quantization-config", None)]),
        ("vllm", "deepseek-v3", {"quantization-config": {"ignore": []}, "quantization": "fp8"}, []),
    ],
)
def test_flags_of_the_study_are_judged_as_well(
    engine: str, name: str, args: dict[str, Any], expected: list[tuple[str, str | None]]
) -> None:
    found = refused(facts_of(name), study_of(engine, engine={"args": args}))
    assert [(key, nearest) for key, _, nearest in found] == expected


def test_another_checkpoint_is_judged_for_itself() -> None:
    model = {"id": "org/model", "variants": {"fp8": "org/model-fp8"}}
    facts = facts_of("qwen2.5-7b-awq")
    assert refused(facts, study_of("vllm", {"gemm": ["auto", "fp8"]}, model=model)) == []


@pytest.mark.parametrize(("engine", "cache"), [("vllm", "fp8"), ("sglang", "fp8_e4m3")])
def test_experts_of_another_checkpoint_have_its_format(engine: str, cache: str) -> None:
    model = {"id": "org/model", "variants": {"fp8": "org/model-fp8"}}
    study = study_of(engine, {"preset": ["default", "aggressive-moe"]}, model=model)
    _, config = build_space(study).grid()
    assert written(engine, study, **formats_of(config)) == ["--kv-cache-dtype", cache]
    assert get_engine(engine).deployment(study, config).model == "org/model-fp8"


def test_experts_of_another_checkpoint_are_not_quantised_again() -> None:
    model = {"id": "org/model", "variants": {"fp8": "org/model-fp8", "awq": "org/model-awq", "bfloat16": "org/dear"}}
    formats = {"gemm": ["auto", "fp8", "awq", "bfloat16"], "moe": ["auto", "fp8", "mxfp8"]}
    study = study_of("vllm", formats, model=model)
    space = build_space(study)
    pairs = [(c.values["quant.gemm"], c.values["quant.moe"]) for c in space.grid()]
    assert pairs == [
        *(("auto", "auto"), ("auto", "fp8"), ("auto", "mxfp8"), ("fp8", "auto"), ("fp8", "fp8"), ("awq", "auto")),
        *(("bfloat16", "auto"), ("bfloat16", "fp8"), ("bfloat16", "mxfp8")),
    ]
    for config in space.grid():
        get_engine("vllm").deployment(study, config)
    refused_one = Config({"quant.gemm": "fp8", "quant.moe": "mxfp8"})
    (broken,) = [rule for rule in space.constraints if rule.holds(refused_one.values) is False]
    assert broken.key == "space.quantization"
    assert "the experts of a checkpoint of model.variants have its own format" in broken.reason
    with pytest.raises(StudyError, match=r"quant.moe: 'mxfp8': .* leave quant.moe auto; did you mean auto"):
        get_engine("vllm").deployment(study, refused_one)


def test_what_one_engine_can_not_be_asked_another_one_may() -> None:
    model = {"id": "org/model", "variants": {"fp8": "org/model-fp8"}}
    study = study_of(["vllm", "trtllm"], {"gemm": ["fp8"], "moe": ["auto", "fp8", "nvfp4"]}, model=model)
    vllm = study_of("vllm", {"gemm": ["fp8"], "moe": ["auto", "fp8_block"]}, model=model)
    assert len(list(build_space(vllm).grid())) == 1
    trtllm = [c.values["quant.moe"] for c in build_space(study).grid() if c.values["engine"] == "trtllm"]
    assert trtllm == ["auto", "fp8", "nvfp4"]


def test_modelopt_s_own_file_counts() -> None:
    told = json.loads((CONFIGS / "llama-3.1-70b-fp8.hf_quant_config.json").read_text(encoding="utf-8"))
    config = json.loads((CONFIGS / "llama-3.1-70b.json").read_text(encoding="utf-8"))
    facts = facts_of_config(config, told, str(Path("config.json")))
    assert refused(facts, study_of("vllm", {"gemm": ["fp8"]})) == [("space.quantization.gemm", "fp8", "auto")]


def test_a_gguf_file_says_so_itself() -> None:
    facts = ModelFacts("llama", weight_format=WeightFormat("gguf", "q4_k", 4.8))
    study = study_of("vllm", {"gemm": ["fp8"]})
    (problem,) = requantization_problems(study, build_space(study), facts)
    assert problem.rule.startswith("the GGUF file holds weights that are quantised already, gguf (q4_k); ")
