"""What a model's own files say: published configs, the hub's cache, headers of weights."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotuner.errors import StudyError
from autotuner.models.config_json import facts_of_config
from autotuner.models.facts import ModelFacts, WeightFormat
from autotuner.models.find import find_model_facts
from autotuner.space.memory import weight_bytes

gguf = pytest.importorskip("gguf")

CONFIGS = Path(__file__).parent / "model_configs"


def published(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((CONFIGS / f"{name}.json").read_text(encoding="utf-8"))
    return found


def facts_of(name: str, **changes: Any) -> ModelFacts:
    return facts_of_config({**published(name), **changes})


# name: layers, hidden, heads, KV heads, head size, vocabulary, positions, full-attention layers
SHAPES = {
    "llama-3.1-8b": (32, 4096, 32, 8, 128, 128256, 131072, 32),
    "llama-3.1-70b": (80, 8192, 64, 8, 128, 128256, 131072, 80),
    "qwen3-32b": (64, 5120, 64, 8, 128, 151936, 40960, 64),
    "qwen3-30b-a3b": (48, 2048, 32, 4, 128, 151936, 40960, 48),
    "qwen3-235b-a22b": (94, 4096, 64, 4, 128, 151936, 40960, 94),
    "mixtral-8x7b": (32, 4096, 32, 8, 128, 32000, 32768, 32),
    "deepseek-v3": (61, 7168, 128, 128, 192, 129280, 163840, 61),
    "kimi-k2.5": (61, 7168, 64, 64, 192, 163840, 262144, 61),
    "gpt-oss-120b": (36, 2880, 64, 8, 64, 201088, 131072, 18),
    "gemma-2-9b": (42, 3584, 16, 8, 256, 256000, 8192, 21),
    "gemma-4-26b-a4b": (30, 2816, 16, 8, 256, 262144, 262144, 5),
    "qwen2.5-7b-awq": (28, 3584, 28, 4, 128, 152064, 32768, 28),
    "qwen3.5-27b": (64, 5120, 24, 4, 256, 248320, 262144, 16),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_those_published(name: str) -> None:
    facts = facts_of(name)
    assert (
        facts.layers,
        facts.hidden_size,
        facts.attention_heads,
        facts.kv_heads,
        facts.head_dim,
        facts.vocabulary,
        facts.positions,
        facts.full_attention_layers,
    ) == SHAPES[name]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [  # as the hub counts the tensors of these checkpoints, DeepSeek-V3 without its prediction layer
        ("llama-3.1-8b", 8_030_261_248),
        ("llama-3.1-70b", 70_553_706_496),
        ("qwen3-32b", 32_762_123_264),
        ("qwen3-30b-a3b", 30_532_122_624),
        ("qwen3-235b-a22b", 235_093_634_560),
        ("mixtral-8x7b", 46_702_792_704),
        ("gemma-2-9b", 9_241_705_984),
        ("qwen2.5-7b-awq", 7_615_616_512),
        ("gpt-oss-120b", 116_829_156_672),
        ("deepseek-v3", 671_026_419_200),
    ],
)
def test_parameters_are_counted_exactly(name: str, parameters: int) -> None:
    assert facts_of(name).parameters == parameters


@pytest.mark.parametrize(
    ("name", "experts", "active", "shared", "width"),
    [
        ("llama-3.1-8b", 0, 0, 0, None),
        ("qwen3-30b-a3b", 128, 8, 0, 768),
        ("mixtral-8x7b", 8, 2, 0, None),
        ("gpt-oss-120b", 128, 4, 0, None),
        ("deepseek-v3", 256, 8, 1, 2048),
        ("kimi-k2.5", 384, 8, 1, 2048),
        ("gemma-4-26b-a4b", 128, 8, 0, 704),
    ],
)
def test_experts(name: str, experts: int, active: int, shared: int, width: int | None) -> None:
    facts = facts_of(name)
    assert (facts.experts, facts.active_experts, facts.shared_experts) == (experts, active, shared)
    assert facts.expert_intermediate_size == width
    assert facts.is_moe is (experts > 0)


@pytest.mark.parametrize(
    ("name", "method", "kind", "bits", "block", "kv_cache"),
    [
        ("qwen2.5-7b-awq", "awq", "int4", 4.15625, None, None),
        ("qwen2.5-7b-gptq-int4", "gptq", "int4", 4.15625, None, None),
        ("qwen3-32b-fp8", "fp8", "fp8", 8 + 32 / 128**2, 128, None),
        ("deepseek-v3", "fp8", "fp8", 8 + 32 / 128**2, 128, None),
        ("gpt-oss-120b", "mxfp4", "mxfp4", 4.25, None, None),
        ("kimi-k2.5", "compressed-tensors", "int4", 4.5, None, None),
        ("qwen3-32b-fp8-modelopt", "modelopt", "fp8", 8, None, "fp8"),
    ],
)
def test_quantised_checkpoints_say_so(
    name: str, method: str, kind: str, bits: float, block: int | None, kv_cache: str | None
) -> None:
    facts = facts_of(name)
    assert facts.quantization == method
    experts_only = name in ("gpt-oss-120b", "kimi-k2.5")
    assert facts.weight_format == WeightFormat(method, kind, bits, block, experts_only, kv_cache)


@pytest.mark.parametrize(
    ("given", "kind", "bits"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "int4", 4.0),
        ({"quant_method": "bitsandbytes", "load_in_8bit": True}, "int8", 8.0),
        ({"quant_method": "modelopt", "quantization": {"quant_algo": "NVFP4"}}, "nvfp4", 4.5),
        (
            {"quant_method": "compressed_tensors", "config_groups": {"g": {"weights": {"num_bits": 8, "type": "int"}}}},
            "int8",
            8,
        ),
        ({"quant_method": "quark"}, "quark", None),
    ],
)
def test_other_ways_to_say_it(given: dict[str, Any], kind: str, bits: float | None) -> None:
    found = facts_of("llama-3.1-8b", quantization_config=given).weight_format
    assert found is not None
    assert (found.kind, found.bits) == (kind, bits)


FP8 = {"num_bits": 8, "type": "float", "strategy": "channel"}
NVFP4 = {"num_bits": 4, "type": "float", "strategy": "tensor_group", "group_size": 16}
INT4 = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}


def compressed(*groups: tuple[list[str], dict[str, Any]], ignore: tuple[str, ...] = ("lm_head",)) -> dict[str, Any]:
    told = {f"group_{n}": {"targets": targets, "weights": weights} for n, (targets, weights) in enumerate(groups)}
    return {"quant_method": "compressed-tensors", "config_groups": told, "ignore": list(ignore)}


ATTENTION, EXPERTS = ["re:.*self_attn.*"], ["re:.*experts.*"]
FIRST_HALF = ["re:.*layers\\.([0-9]|1[0-9]|2[0-3])\\..*"]  # of 48 layers
# qwen3-30b-a3b: attention 48 × 18,874,368 weights, experts 48 × 128 × 3 × 2048 × 768, embeddings 2 × 151936 × 2048.
MOE_ATTENTION, MOE_EXPERTS = 905_969_664, 28_991_029_248


@pytest.mark.parametrize(
    ("given", "kind", "attention_bits", "expert_bits"),
    [
        (compressed((ATTENTION, FP8), (EXPERTS, NVFP4)), "fp8 + nvfp4", 8, 4.5),
        (compressed((EXPERTS, NVFP4), (ATTENTION, FP8)), "nvfp4 + fp8", 8, 4.5),
        (compressed((["Linear"], FP8), (EXPERTS, NVFP4)), "fp8 + nvfp4", 8, 4.5),  # names go before classes
        (compressed((["Linear"], NVFP4)), "nvfp4", 4.5, 4.5),
        (compressed((["Linear"], INT4), ignore=("lm_head", "re:.*self_attn.*")), "int4", 16, 4.125),
        (compressed((ATTENTION, FP8)), "fp8", 8, 16),
        (compressed((["re:no_such_module"], FP8), (["re:(unclosed"], NVFP4)), "fp8 + nvfp4", 4.5, 4.5),
        (
            compressed((["re:.*layers\\.([0-9]|1[0-9]|2[0-3])\\..*"], FP8), (["Linear"], NVFP4)),
            "fp8 + nvfp4",
            6.25,
            6.25,
        ),
    ],
)
def test_groups_of_formats_are_judged_all(
    given: dict[str, Any], kind: str, attention_bits: float, expert_bits: float
) -> None:
    facts = facts_of("qwen3-30b-a3b", quantization_config=given)
    assert facts.weight_format is not None
    assert facts.weight_format.kind == kind
    weights = weight_bytes(facts)
    assert weights is not None
    assert weights.experts == pytest.approx(MOE_EXPERTS * expert_bits / 8)
    plain = weight_bytes(facts_of("qwen3-30b-a3b"))
    assert plain is not None
    assert plain.shared - weights.shared == pytest.approx(MOE_ATTENTION * (16 - attention_bits) / 8)


def test_attention_and_mlp_of_a_dense_model_in_formats_of_their_own() -> None:
    facts = facts_of("llama-3.1-8b", quantization_config=compressed((ATTENTION, FP8), (["re:.*mlp.*"], INT4)))
    attention, mlp = 32 * (2 * 4096 * 4096 + 2 * 4096 * 1024), 32 * 3 * 4096 * 14336
    assert facts.weight_format is not None
    assert facts.weight_format.bits == pytest.approx((attention * 8 + mlp * 4.125) / (attention + mlp), abs=1e-5)
    assert facts.weight_format.shared_bits is None


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    for name, text in (
        ("config.json", (CONFIGS / "llama-3.1-8b.json").read_text(encoding="utf-8")),
        ("hf_quant_config.json", (CONFIGS / "llama-3.1-70b-fp8.hf_quant_config.json").read_text(encoding="utf-8")),
        ("model.safetensors.index.json", json.dumps({"metadata": {"total_size": 1234}})),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8-sig")
    facts = find_model_facts(str(tmp_path))
    assert facts is not None
    assert (facts.layers, facts.weight_bytes, facts.quantization) == (32, 1234, "modelopt")


def test_a_checkpoint_that_is_only_sparse_is_not_quantised() -> None:
    given = {"quant_method": "compressed-tensors", "config_groups": {}, "sparsity_config": {"format": "dense"}}
    assert facts_of("llama-3.1-8b", quantization_config=given).quantization is None


def test_latent_attention_is_told_from_grouped() -> None:
    deepseek = facts_of("deepseek-v3")
    assert deepseek.is_mla
    assert (deepseek.kv_lora_rank, deepseek.qk_rope_head_dim) == (512, 64)
    assert not facts_of("qwen3-235b-a22b").is_mla


def test_a_window_that_is_not_used_is_none() -> None:
    assert facts_of("qwen2.5-7b-awq").sliding_window is None
    assert facts_of("gpt-oss-120b").sliding_window == 128
    mistral = facts_of("mixtral-8x7b", model_type="mistral", sliding_window=4096, num_local_experts=None)
    assert mistral.full_attention_layers == 0


@pytest.mark.parametrize(
    ("changes", "positions"),
    [  # as vLLM reckons a model's longest context
        ({"rope_scaling": None}, (4096, 4096)),
        ({"rope_scaling": {"type": "linear", "factor": 2.0}}, (8192, 8192)),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}, (16384, 16384)),
        (
            {"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 512}},
            (4096, 4096),
        ),
        (
            {"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 3000}},
            (12000, 12000),
        ),
        ({"rope_scaling": {"type": "su", "long_factor": [1]}, "original_max_position_embeddings": 1024}, (4096, 1024)),
        (
            {
                "rope_parameters": {
                    "full_attention": {"rope_type": "linear", "factor": 8},
                    "x": {"rope_type": "default"},
                }
            },
            (32768, 32768),
        ),
        ({"model_type": "gemma3_text", "rope_scaling": {"rope_type": "linear", "factor": 8}}, (4096, 4096)),
        ({"rope_scaling": {"type": "linear", "factor": None}}, (4096, 4096)),
        ({"max_position_embeddings": None, "n_positions": 1024, "rope_scaling": None}, (1024, 1024)),
        ({"max_position_embeddings": None, "rope_scaling": None}, (None, None)),
    ],
)
def test_the_longest_context(changes: dict[str, Any], positions: tuple[int | None, int | None]) -> None:
    facts = facts_of("llama-3.1-8b", **{"max_position_embeddings": 4096, **changes})
    assert (facts.positions, facts.default_positions) == positions


def test_what_a_config_leaves_to_the_code_is_not_made_up() -> None:
    gemma = {"model_type": "gemma3", "text_config": {"model_type": "gemma3_text", "hidden_size": 2560}}
    facts = facts_of_config(gemma)
    assert (facts.family, facts.hidden_size, facts.attention_heads, facts.parameters) == ("gemma3", 2560, None, None)


# ── where the files are ───────────────────────────────────────────────────────────────────────


def test_a_folder_with_a_config_alone_is_enough(tmp_path: Path) -> None:
    folder = tmp_path / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(published("qwen3-32b")))
    for model_id in ("models/mine", "./models/mine", str(folder)):
        facts = find_model_facts(model_id, tmp_path)
        assert facts is not None
        assert (facts.family, facts.layers, facts.weight_bytes) == ("qwen3", 64, None)


def in_hub_cache(cache: Path, model_id: str, config: dict[str, Any], revision: str = "0e9e39f") -> Path:
    place = cache / f"models--{model_id.replace('/', '--')}"
    snapshot = place / "snapshots" / revision
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(config))
    (place / "refs").mkdir(exist_ok=True)
    (place / "refs" / "main").write_text(revision)
    return place


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.mark.parametrize(
    ("variable", "value", "below"),
    [
        ("HF_HUB_CACHE", "hub", "hub"),
        ("HF_HOME", "hf", "hf/hub"),
        ("XDG_CACHE_HOME", "xdg", "xdg/huggingface/hub"),
        (None, "", "home/.cache/huggingface/hub"),
    ],
)
def test_the_hubs_cache_is_looked_through(
    no_hub: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None, value: str, below: str
) -> None:
    if variable:
        monkeypatch.setenv(variable, str(no_hub / value))
    in_hub_cache(no_hub / below, "meta-llama/Llama-3.1-8B", published("llama-3.1-8b"))
    facts = find_model_facts("meta-llama/Llama-3.1-8B", no_hub)
    assert facts is not None
    assert facts.parameters == 8_030_261_248


def test_main_names_the_snapshot(no_hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(no_hub))
    in_hub_cache(no_hub, "o/m", published("qwen3-32b"), "old")
    place = in_hub_cache(no_hub, "o/m", published("llama-3.1-8b"), "new")
    assert find_model_facts("o/m", no_hub).family == "llama"  # type: ignore[union-attr]
    (place / "refs" / "main").unlink()
    assert find_model_facts("o/m", no_hub) is None  # which of the two is not told


@pytest.mark.parametrize("model_id", ["o/m", "nothing", "missing.gguf", "../..", "a/../b", "/"])
def test_a_model_that_is_not_here_is_none(no_hub: Path, model_id: str) -> None:
    (no_hub / "empty").mkdir()
    assert find_model_facts(model_id, no_hub / "empty") is None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"{", "JSON"),
        (b"[1]", "a map"),
        (b"\xff\xfe", "JSON"),
        (b'{"num_hidden_layers": "many"}', "num_hidden_layers"),
        (b'{"num_attention_heads": -4}', "num_attention_heads"),
        (b'{"hidden_size": 1.5}', "hidden_size"),
    ],
)
def test_a_broken_config_is_refused(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(StudyError, match=told) as caught:
        find_model_facts(str(tmp_path))
    assert caught.value.key == "model.id"
    assert str(tmp_path / "config.json") in caught.value.message


KEYS = st.sampled_from(
    [
        *("model_type", "num_hidden_layers", "hidden_size", "num_attention_heads", "num_key_value_heads", "head_dim"),
        *("rope_scaling", "rope_parameters", "quantization_config", "text_config", "layer_types", "sliding_window"),
        *("max_position_embeddings", "n_routed_experts", "kv_lora_rank", "architectures", "vocab_size", "torch_dtype"),
        *("intermediate_size", "moe_intermediate_size", "quant_method", "bits", "group_size", "weight_block_size"),
        *("rope_type", "factor", "config_groups", "full_attention_interval", "mlp_only_layers", "decoder_sparse_step"),
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.floats(allow_nan=False)
    | st.sampled_from(["llama", "fp8", "yarn"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=14))
@settings(max_examples=400, deadline=None)
def test_any_config_gives_facts_or_one_clear_error(config: dict[str, Any]) -> None:
    try:
        facts = facts_of_config({"model_type": "llama", **config})
    except StudyError as error:
        assert error.key == "model.id"  # noqa: PT017
    else:
        assert facts.parameters is None or facts.parameters > 0


# ── headers of weights ────────────────────────────────────────────────────────────────────────


def write_safetensors(file: Path, shapes: dict[str, list[int]], bytes_each: int = 2) -> int:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, shape in shapes.items():
        size = int(np.prod(shape)) * bytes_each
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + bytes(at))
    return at


def test_headers_count_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(published("llama-3.1-8b")))
    write_safetensors(tmp_path / "model-00001-of-00002.safetensors", {"a": [3, 5], "b": [7]})
    write_safetensors(tmp_path / "model-00002-of-00002.safetensors", {"c": [11]})
    write_safetensors(tmp_path / "consolidated.safetensors", {"all": [33]})  # the same weights once more
    facts = find_model_facts(str(tmp_path))
    assert facts is not None
    assert (facts.parameters, facts.weight_bytes) == (33, 66)


def test_the_index_is_enough(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(published("llama-3.1-8b")))
    index = {"metadata": {"total_size": 16_060_522_496}, "weight_map": {}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    facts = find_model_facts(str(tmp_path))
    assert facts is not None
    assert (facts.parameters, facts.weight_bytes) == (8_030_261_248, 16_060_522_496)


def test_packed_weights_are_not_taken_for_parameters(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(published("qwen2.5-7b-awq")))
    write_safetensors(tmp_path / "model.safetensors", {"qweight": [100]})
    facts = find_model_facts(str(tmp_path))
    assert facts is not None
    assert (facts.parameters, facts.weight_bytes) == (7_615_616_512, 200)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00" * 8, struct.pack("<Q", 2**60), struct.pack("<Q", 4) + b"[{]}", struct.pack("<Q", 2) + b"[]"],
)
def test_a_broken_header_is_as_no_weights(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_text(json.dumps(published("llama-3.1-8b")))
    (tmp_path / "model.safetensors").write_bytes(content)
    facts = find_model_facts(str(tmp_path))
    assert facts is not None
    assert (facts.parameters, facts.weight_bytes) == (8_030_261_248, None)


def test_modelopt_may_write_a_file_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(published("llama-3.1-70b")))
    beside = (CONFIGS / "llama-3.1-70b-fp8.hf_quant_config.json").read_text(encoding="utf-8")
    (tmp_path / "hf_quant_config.json").write_text(beside)
    facts = find_model_facts(str(tmp_path))
    assert facts is not None
    assert facts.weight_format == WeightFormat("modelopt", "fp8", 8.0, kv_cache="fp8")


# ── GGUF ──────────────────────────────────────────────────────────────────────────────────────


def write_gguf(file: Path, *, experts: int = 0) -> None:
    writer = gguf.GGUFWriter(str(file), "qwen3moe" if experts else "llama")
    writer.add_block_count(3)
    writer.add_context_length(4096)
    writer.add_embedding_length(64)
    writer.add_feed_forward_length(128)
    writer.add_head_count(8)
    writer.add_head_count_kv(2)
    writer.add_token_list(["a", "b", "ç", "<s>"])
    writer.add_token_scores([0.0, 1.0, 2.0, 3.0])
    writer.add_bool("general.some", True)
    if experts:
        writer.add_expert_count(experts)
        writer.add_expert_used_count(2)
    writer.add_tensor("token_embd.weight", np.zeros((4, 64), dtype=np.float16))
    writer.add_tensor("blk.0.ffn_up.weight", np.zeros((128, 64), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_tells_its_shape(tmp_path: Path) -> None:
    file = tmp_path / "tiny.gguf"
    write_gguf(file)
    facts = find_model_facts("tiny.gguf", tmp_path)
    assert facts is not None
    assert (facts.family, facts.layers, facts.hidden_size, facts.intermediate_size) == ("llama", 3, 64, 128)
    assert (facts.attention_heads, facts.kv_heads, facts.head_dim, facts.vocabulary) == (8, 2, 8, 4)
    assert (facts.positions, facts.parameters) == (4096, 4 * 64 + 128 * 64)
    assert (facts.weight_bytes, facts.is_moe) == (file.stat().st_size, False)
    assert facts.weight_format is not None
    assert (facts.quantization, facts.weight_format.kind) == ("gguf", "f32")


def test_experts_of_a_gguf_file(tmp_path: Path) -> None:
    write_gguf(tmp_path / "moe.gguf", experts=16)
    facts = find_model_facts("moe.gguf", tmp_path)
    assert facts is not None
    assert (facts.experts, facts.active_experts, facts.is_moe) == (16, 2, True)


def test_a_split_gguf_file_counts_all_its_parts(tmp_path: Path) -> None:
    write_gguf(tmp_path / "m-00001-of-00002.gguf")
    (tmp_path / "m-00002-of-00002.gguf").write_bytes(bytes(1000))
    facts = find_model_facts("m-00001-of-00002.gguf", tmp_path)
    assert facts is not None
    size = (tmp_path / "m-00001-of-00002.gguf").stat().st_size
    assert (facts.weight_bytes, facts.parameters, facts.layers) == (size + 1000, None, 3)


@given(cut=st.integers(0, 700), junk=st.binary(max_size=40))
@settings(max_examples=150, deadline=None)
def test_a_broken_gguf_file_is_refused(tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes) -> None:
    folder = tmp_path_factory.mktemp("gguf")
    write_gguf(folder / "whole.gguf")
    whole = (folder / "whole.gguf").read_bytes()
    (folder / "cut.gguf").write_bytes(whole[:cut] + junk)
    try:
        find_model_facts("cut.gguf", folder)
    except StudyError as error:
        assert error.key == "model.id"  # noqa: PT017
    else:
        assert cut + len(junk) > 400  # its header may be whole
