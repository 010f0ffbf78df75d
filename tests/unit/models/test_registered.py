"""Models known by their ids alone: search_spaces/model/known, read by the code that reads a config.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from autotuner.models.facts import ModelFacts
from autotuner.models.find import find_model_facts
from autotuner.models.registered import nearest_registered, registered_ids, registered_model
from autotuner.space.memory import kv_bytes_per_token, weight_bytes
from autotuner.strict.paths import shipped_spaces
from autotuner.strict.yaml_text import parse_yaml

FILES = sorted((shipped_spaces() / "model" / "known").glob("*.yaml"))

# Parameters as published: exact ones by keras-hub 0.32.0 (keras_hub/src/models/*/*_presets.py), the others rounded as
# the models' own cards have them.
PARAMETERS = {
    "meta-llama/Llama-3.1-8B": 8_030_261_248,
    "meta-llama/Llama-3.1-8B-Instruct": 8.03e9,
    "meta-llama/Llama-3.1-70B": 70.6e9,
    "meta-llama/Llama-3.1-405B": 406e9,
    "meta-llama/Llama-3.2-1B": 1.24e9,
    "meta-llama/Llama-3.2-3B": 3.21e9,
    "meta-llama/Llama-3.3-70B-Instruct": 70.6e9,
    "meta-llama/Meta-Llama-3-8B": 8_030_261_248,
    "Qwen/Qwen2.5-0.5B": 494_032_768,
    "Qwen/Qwen2.5-1.5B": 1_543_714_304,
    "Qwen/Qwen2.5-3B-Instruct": 3_085_938_688,
    "Qwen/Qwen2.5-7B-Instruct": 7_615_616_512,
    "Qwen/Qwen2.5-14B-Instruct": 14.8e9,
    "Qwen/Qwen2.5-32B-Instruct": 32_763_876_352,
    "Qwen/Qwen2.5-72B-Instruct": 72_706_203_648,
    "Qwen/QwQ-32B": 32.8e9,
    "Qwen/Qwen3-0.6B": 596_049_920,
    "Qwen/Qwen3-1.7B": 1_720_574_976,
    "Qwen/Qwen3-4B": 4_022_468_096,
    "Qwen/Qwen3-8B": 8_190_735_360,
    "Qwen/Qwen3-14B": 14_768_307_200,
    "Qwen/Qwen3-32B": 32_762_123_264,
    "Qwen/Qwen3-32B-FP8": 32_762_123_264,
    "Qwen/Qwen3-30B-A3B": 30_532_122_624,
    "Qwen/Qwen3-235B-A22B": 235_093_634_560,
    "Qwen/Qwen3-Coder-30B-A3B-Instruct": 30_532_122_624,
    "Qwen/Qwen3-Coder-480B-A35B-Instruct": 480e9,
    "deepseek-ai/DeepSeek-V2-Lite": 15.7e9,
    "deepseek-ai/DeepSeek-V3": 671e9,
    "deepseek-ai/DeepSeek-R1": 671e9,
    "deepseek-ai/DeepSeek-V3.2": 671e9,
    "openai/gpt-oss-20b": 20_914_757_184,
    "openai/gpt-oss-120b": 116_829_156_672,
    "google/gemma-2-2b": 2_614_341_888,
    "google/gemma-2-9b": 9_241_705_984,
    "google/gemma-2-27b": 27_227_128_320,
    "google/gemma-3-1b-it": 999_885_952,
    "google/gemma-3-4b-it": 3_880_099_328,  # of the part that makes text
    "google/gemma-3-12b-it": 11_765_788_416,
    "google/gemma-3-27b-it": 27_009_002_240,
    "mistralai/Mistral-7B-v0.1": 7_241_732_096,
    "mistralai/Mistral-7B-Instruct-v0.3": 7_248_023_552,
    "mistralai/Mistral-Nemo-Instruct-2407": 12.2e9,
    "mistralai/Mistral-Large-Instruct-2407": 123e9,
    "mistralai/Devstral-Small-2-24B-Instruct-2512": 23_572_403_200,  # as of Magistral Small, the same base
    "mistralai/Mixtral-8x7B-v0.1": 46_702_792_704,
    "mistralai/Mixtral-8x22B-v0.1": 141e9,
    "moonshotai/Kimi-K2-Instruct": 1026e9,
    "moonshotai/Kimi-K2.5": 1026e9,
    "zai-org/GLM-4.5": 355e9,
    "zai-org/GLM-4.6": 355e9,
    "zai-org/GLM-4.5-Air": 106e9,
    "zai-org/GLM-5": 744e9,
    "microsoft/Phi-3-mini-4k-instruct": 3_821_079_552,
    "microsoft/Phi-3.5-mini-instruct": 3.82e9,
    "microsoft/Phi-4-mini-instruct": 3.84e9,
    "microsoft/phi-4": 14.7e9,
    "MiniMaxAI/MiniMax-M2.5": 229e9,
}


def facts_of(model_id: str) -> ModelFacts:
    facts = find_model_facts(model_id)
    assert facts is not None
    return facts


@pytest.fixture(autouse=True)
def empty_hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("model_id", PARAMETERS)
def test_the_shape_of_a_known_model_gives_its_published_size(model_id: str) -> None:
    assert facts_of(model_id).parameters == pytest.approx(PARAMETERS[model_id], rel=0.01)


@pytest.mark.parametrize(
    ("model_id", "heads", "kv_heads", "layers", "context"),
    [  # vLLM's tests/config/base_model_arch_groundtruth.json, and the models' cards for the context
        ("zai-org/GLM-4.5", 96, 8, 92, 131072),
        ("zai-org/GLM-4.6", 96, 8, 92, 202752),
        ("openai/gpt-oss-20b", 64, 8, 24, 131072),
        ("deepseek-ai/DeepSeek-V3.2-Exp", 128, 128, 61, 163840),
        ("Qwen/Qwen3-32B", 64, 8, 64, 40960),
        ("Qwen/Qwen3-30B-A3B-Thinking-2507", 32, 4, 48, 262144),
        ("Qwen/Qwen2.5-7B", 28, 4, 28, 131072),
        ("Qwen/Qwen2.5-7B-Instruct", 28, 4, 28, 32768),
        ("meta-llama/Llama-3.1-8B-Instruct", 32, 8, 32, 131072),
        ("deepseek-ai/DeepSeek-R1-0528", 128, 128, 61, 163840),
        ("moonshotai/Kimi-K2-Instruct", 64, 64, 61, 131072),
        ("moonshotai/Kimi-K2.5", 64, 64, 61, 262144),
        ("google/gemma-3-27b-it", 32, 16, 62, 131072),
        ("mistralai/Mistral-Nemo-Instruct-2407", 32, 8, 40, None),
    ],
)
def test_heads_layers_and_context(model_id: str, heads: int, kv_heads: int, layers: int, context: int | None) -> None:
    facts = facts_of(model_id)
    assert (facts.attention_heads, facts.kv_heads, facts.layers, facts.positions) == (heads, kv_heads, layers, context)


@pytest.mark.parametrize(
    ("model_id", "kib"),
    [  # 16 bits a number: docs/hardware.md, DeepSeek-V2's paper, table 1, and sebastianraschka.com's gallery (GLM-4.5)
        ("meta-llama/Llama-3.1-8B", 128),
        ("meta-llama/Llama-3.1-70B", 320),
        ("Qwen/Qwen3-32B", 256),
        ("Qwen/Qwen3-30B-A3B", 96),
        ("zai-org/GLM-4.5", 368),
        ("zai-org/GLM-4.5-Air", 184),
        ("openai/gpt-oss-120b", 72),
        ("deepseek-ai/DeepSeek-V3", 70_272 / 1024),
        ("moonshotai/Kimi-K2-Instruct", 70_272 / 1024),
        ("nvidia/Llama-3.1-70B-Instruct-FP8", 160),  # its cache has 8 bits by default
    ],
)
def test_a_token_of_context_takes_what_is_known(model_id: str, kib: float) -> None:
    assert kv_bytes_per_token(facts_of(model_id)) == kib * 1024


@pytest.mark.parametrize(
    ("model_id", "method", "gigabytes"),
    [
        ("Qwen/Qwen3-32B", None, 65.5),
        ("Qwen/Qwen3-32B-FP8", "fp8", 34.3),
        ("Qwen/Qwen2.5-72B-Instruct-AWQ", "awq", 40.1),
        ("deepseek-ai/DeepSeek-V3-0324", "fp8", 673),
        ("openai/gpt-oss-120b", "mxfp4", 65.2),
    ],
)
def test_formats_are_known_too(model_id: str, method: str | None, gigabytes: float) -> None:
    facts = facts_of(model_id)
    weights = weight_bytes(facts)
    assert weights is not None
    assert facts.quantization == method
    assert weights.total / 1e9 == pytest.approx(gigabytes, rel=0.01)


def test_forty_models_and_more_each_once_and_each_with_its_source() -> None:
    listed = [
        name
        for file in FILES
        for model_id, entry in parse_yaml(file.read_text(encoding="utf-8"), str(file)).items()
        for name in (model_id, *entry.get("also", []))
    ]
    assert len(listed) == len(set(listed)) >= 40
    assert sorted(listed) == list(registered_ids())
    for model_id in listed:
        model = registered_model(model_id)
        assert model is not None
        assert len(model.source) > 10
        assert facts_of(model_id).stated_by == model.source


@pytest.mark.parametrize("model_id", registered_ids())
def test_of_each_heads_and_size_are_known(model_id: str) -> None:
    facts = facts_of(model_id)
    assert facts.attention_heads
    assert facts.kv_heads
    assert facts.layers
    assert facts.vocabulary
    assert facts.parameters
    assert facts.attention_heads % facts.kv_heads == 0


def test_what_is_on_disk_wins(empty_hub_cache: Path, tmp_path: Path) -> None:
    own = {"model_type": "llama", "num_attention_heads": 7}
    place = empty_hub_cache / "models--Qwen--Qwen3-32B"
    (place / "snapshots" / "abc").mkdir(parents=True)
    (place / "refs").mkdir()
    (place / "refs" / "main").write_text("abc")
    assert facts_of("Qwen/Qwen3-32B").attention_heads == 64  # nothing is there yet but a folder
    (place / "snapshots" / "abc" / "config.json").write_text(json.dumps(own))
    cached = facts_of("Qwen/Qwen3-32B")
    assert (cached.attention_heads, cached.stated_by) == (7, None)
    folder = tmp_path / "Qwen" / "Qwen3-8B"
    folder.mkdir(parents=True)
    assert find_model_facts("Qwen/Qwen3-8B", tmp_path) is None  # a folder of that name: an engine would take it
    (folder / "config.json").write_text(json.dumps(own))
    local = find_model_facts("Qwen/Qwen3-8B", tmp_path)
    assert local is not None
    assert local.attention_heads == 7


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("Qwen/Qwen3-23B", "Qwen/Qwen3-32B"),
        ("qwen/qwen3-32b", "Qwen/Qwen3-32B"),
        ("Qwen3-32B", "Qwen/Qwen3-32B"),
        ("meta-llama/Llama-3.1-8B-Instrct", "meta-llama/Llama-3.1-8B-Instruct"),
        ("meta-lama/Llama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct"),
        ("openai/gpt-oss-20", "openai/gpt-oss-20b"),
        ("my-company/our-own-model", None),
        ("m", None),
    ],
)
def test_the_nearest_of_a_misspelt_id(written: str, meant: str | None) -> None:
    assert registered_model(written) is None
    assert nearest_registered(written) == meant
