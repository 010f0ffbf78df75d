"""Checkpoints that are quantised already: what an engine can be asked beside the format that they have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from autotuner.engines.catalogue import Catalogue, load_catalogue
from autotuner.engines.engine import Engine
from autotuner.engines.one_engine import study_of
from autotuner.engines.problem import Problem
from autotuner.engines.registry import get_engine
from autotuner.engines.settings import format_value
from autotuner.space import Choice, SearchSpace
from autotuner.space.quantization import AUTO, PREFIX
from autotuner.study.model import Study
from autotuner.study.model_facts import ModelFacts, WeightFormat

_ONLINE = "quantization-config"  # formats for weights as they are loaded, in a map
_HALF = frozenset({"float16", "bfloat16", "half"})


@dataclass(frozen=True)
class _Taken:
    """What an engine's flags may say of a quantised checkpoint.

    ``by_all``: names that go with any method, ``beside``: method → names that go with it beside its own,
    ``dtypes``: method → what the rest may be computed in, where that is not 16 bits of either kind.
    """

    by_all: frozenset[str] = frozenset()
    beside: Mapping[str, frozenset[str]] = field(default_factory=dict)
    dtypes: Mapping[str, frozenset[str]] = field(default_factory=dict)


# vLLM 0.32.0: _verify_quantization in config/model.py; override_quantization_method and get_supported_act_dtypes in
# model_executor/layers/quantization/. SGLang 0.5.23: _verify_quantization and REQUANTIZATION_METHODS in
# srt/configs/model_config.py, and override_quantization_method in srt/layers/quantization/. Checkpoints of ModelOpt,
# and of gpt-oss in vLLM, start under any name, and keep their format: not what a study asks for, so not taken here.
_TAKEN: Mapping[str, _Taken] = MappingProxyType(
    {
        "vllm": _Taken(
            by_all=frozenset({"humming"}),
            beside={
                "awq": frozenset({"auto_awq", "awq_marlin", "moe_wna16"}),
                "gptq": frozenset({"auto_gptq", "gptq_marlin", "moe_wna16"}),
                "auto-round": frozenset({"inc"}),
                "fp8": frozenset({"deepseek_v4_fp8"}),
                "modelopt": frozenset({"modelopt_fp4", "modelopt_mixed", "modelopt_mxfp8"}),
                "mxfp4": frozenset({"gpt_oss_mxfp4"}),
            },
            dtypes={
                "compressed-tensors": _HALF | {"float32", "float"},
                "torchao": _HALF | {"float32", "float"},
                "mxfp4": frozenset({"bfloat16"}),
            },
        ),
        "sglang": _Taken(
            by_all=frozenset({"humming", "quark_mxfp4"}),
            beside={
                "awq": frozenset({"awq_marlin", "moe_wna16"}),
                "gptq": frozenset({"gptq_marlin", "moe_wna16"}),
                "compressed-tensors": frozenset({"w8a8_int8", "w8a8_fp8", "auto-round-int8"}),
                "fp8": frozenset({"modelopt_fp4", "nvfp4_online"}),
                "modelopt": frozenset(
                    {"modelopt_fp4", "modelopt_fp8", "modelopt_mixed", "nvfp4_online", "petit_nvfp4"}
                ),
                "mxfp8": frozenset({"minimax_m3_nvfp4"}),
            },
        ),
    }
)


def requantization_problems(study: Study, space: SearchSpace, facts: ModelFacts) -> Iterator[Problem]:
    """Formats that ask an engine to quantise a checkpoint again that is quantised already.

    Each is judged by the flags that the engine sets for it. Those of ``model.variants`` are other checkpoints.
    """
    checkpoint = facts.weight_format
    if checkpoint is None:
        return
    for field_name, value in _formats(study, space):
        told = []
        for engine, own, catalogue in _engines(study):
            meaning = format_value(engine, own, field_name, value)
            if meaning is not None and not meaning.offline:
                told += _refusals(checkpoint, engine.name, catalogue, meaning.flags)
        if told:
            elsewhere = f", or name another checkpoint in model.variants.{value}" if field_name == "gemm" else ""
            rule = f"{_already(checkpoint)}; {'; '.join(dict.fromkeys(told))}: leave it auto{elsewhere}"
            yield Problem(f"space.quantization.{field_name}", value, rule, AUTO)
    for engine, own, catalogue in _engines(study):
        for name, value in own.engine.args.items():
            flag = catalogue.find(name)
            if flag is None or flag is catalogue.means("dtype") or value is None:
                continue
            refused = _refusals(checkpoint, engine.name, catalogue, {flag.name: value}, own.engine.args)
            if refused:
                rule = f"{_already(checkpoint)}; {refused[0]}"
                yield Problem(f"engine.args.{name}", value, rule, checkpoint.method if flag.name != _ONLINE else None)


def _formats(study: Study, space: SearchSpace) -> Iterator[tuple[str, str]]:
    """Fields and values that are asked of the model's own checkpoint."""
    searched = {p.name.removeprefix(PREFIX): p for p in space.parameters if p.name.startswith(PREFIX)}
    gemm, moe = searched.get("gemm"), searched.get("moe")
    own = [AUTO]
    if isinstance(gemm, Choice):
        own = [value for value in gemm.options if value not in study.model.variants]
        yield from (("gemm", value) for value in own if value != AUTO)
    if own and isinstance(moe, Choice):
        yield from (("moe", value) for value in moe.options if value != AUTO)


def _engines(study: Study) -> Iterator[tuple[Engine, Study, Catalogue]]:
    for name in study.engine.names:
        own = study_of(study, name)
        yield get_engine(name), own, load_catalogue(name, own.engine.version)


def _refusals(
    checkpoint: WeightFormat,
    engine: str,
    catalogue: Catalogue,
    flags: Mapping[str, Any],
    beside: Mapping[str, Any] = MappingProxyType({}),
) -> list[str]:
    """Why the engine does not load the checkpoint with these flags, ``beside`` being others that it has."""
    taken, method = _TAKEN.get(engine, _Taken()), checkpoint.method
    quantization, dtype = catalogue.means("weight_quantization"), catalogue.means("dtype")
    told = []
    for name, value in flags.items():
        if quantization is not None and name == quantization.name and isinstance(value, str):
            if value not in {method, *taken.by_all, *taken.beside.get(method, ())}:
                told.append(f"{engine} loads no {checkpoint.text} weights with --{name} {value}")
        elif name == _ONLINE and not _names_method(catalogue, beside):
            told.append(f"{engine} quantises with --{name} what is not quantised yet")
        elif dtype is not None and name == dtype.name and value not in taken.dtypes.get(method, _HALF):
            told.append(f"{engine} computes {method} weights not in {value}")
    return told


def _names_method(catalogue: Catalogue, args: Mapping[str, Any]) -> bool:
    """Whether a study says how the weights are quantised: a map of formats then is of the others alone."""
    method = catalogue.means("weight_quantization")
    return any(value is not None and catalogue.find(name) is method for name, value in args.items())


def _already(checkpoint: WeightFormat) -> str:
    where = "the GGUF file holds" if checkpoint.method == "gguf" else "config.json says"
    return f"{where} weights that are quantised already, {checkpoint.text}"
