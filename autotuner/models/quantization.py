"""How a config.json says that its weights are quantised. Pure.

Sources: vLLM 0.27.0 vllm/transformers_utils/model_arch_config_convertor.py; the formats' own layouts: AutoAWQ and
GPTQModel (a 16-bit scale and a zero point a group), OCP MX 1.0 (a scale byte for 32 weights), NVIDIA ModelOpt (NVFP4:
a scale byte for 16), DeepSeek-V3 (a 32-bit scale for a block).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autotuner.models.compressed_tensors import METHOD, number_of, read_compressed_tensors, square_block
from autotuner.models.facts import ModelFacts, WeightFormat

_MODELOPT = {
    "FP8": ("fp8", 8.0),
    "FP8_PER_CHANNEL_PER_TOKEN": ("fp8", 8.0),
    "FP8_PB_WO": ("fp8", 8.0),
    "NVFP4": ("nvfp4", 4.5),
    "W4A16_AWQ": ("int4", 4.0),
    "W4A8_AWQ": ("int4", 4.0),
    "MXFP8": ("mxfp8", 8.25),
    "INT8_SQ": ("int8", 8.0),
}


def read_weight_format(
    config: Mapping[str, Any], text: Mapping[str, Any], beside: Mapping[str, Any] | None, facts: ModelFacts
) -> WeightFormat | None:
    """``text`` is the part of ``config`` that makes text; ``beside`` the content of hf_quant_config.json; ``facts``
    are the model's shapes."""
    given = next(
        (
            part[name]
            for part in (config, text)
            for name in ("quantization_config", "compression_config")
            if isinstance(part.get(name), Mapping)
        ),
        beside,
    )
    if not isinstance(given, Mapping):
        return None
    method = str(given.get("quant_method") or "").lower().replace("_tensors", "-tensors")
    producer = given.get("producer")
    if method.startswith("modelopt") or (isinstance(producer, Mapping) and producer.get("name") == "modelopt"):
        return _modelopt(given)
    if method == METHOD:
        return read_compressed_tensors(given, facts)
    if method in ("awq", "gptq", "gptqmodel", "auto-round", "intel/auto-round"):
        return _grouped("gptq" if method == "gptqmodel" else method, given)
    if method in ("fp8", "fbgemm_fp8"):
        return _fp8(method, given)
    if method == "mxfp4":
        return WeightFormat("mxfp4", "mxfp4", 4.25, experts_only=True)  # as gpt-oss leaves the rest out
    if method == "bitsandbytes":
        four = given.get("load_in_4bit") or given.get("_load_in_4bit")
        return WeightFormat(method, *(("int4", 4.0) if four else ("int8", 8.0)))
    return WeightFormat(method, method) if method else None


def _modelopt(given: Mapping[str, Any]) -> WeightFormat:
    inner = given.get("quantization")
    told = inner if isinstance(inner, Mapping) else given
    algorithm = str(told.get("quant_algo") or "").upper()
    kind, bits = _MODELOPT.get(algorithm, (algorithm.lower() or "modelopt", None))
    cache = told.get("kv_cache_quant_algo") or told.get("kv_cache_scheme")
    if isinstance(cache, Mapping):
        cache = f"fp{cache.get('num_bits')}" if cache.get("type") == "float" else f"int{cache.get('num_bits')}"
    return WeightFormat("modelopt", kind, bits, kv_cache=str(cache).lower() if cache else None)


def _grouped(method: str, given: Mapping[str, Any]) -> WeightFormat:
    bits = number_of(given.get("bits")) or number_of(given.get("w_bit"))
    size = number_of(given.get("group_size")) or number_of(given.get("q_group_size"))
    if bits is None:
        return WeightFormat(method, method)
    return WeightFormat(method, f"int{bits:g}", bits + ((16 + bits) / size if size and size > 0 else 0))


def _fp8(method: str, given: Mapping[str, Any]) -> WeightFormat:
    block = given.get("weight_block_size")
    shape = block if isinstance(block, list) and len(block) == 2 and all(map(number_of, block)) else None
    return WeightFormat(method, "fp8", 8 + (32 / (shape[0] * shape[1]) if shape else 0), block=square_block(block))
