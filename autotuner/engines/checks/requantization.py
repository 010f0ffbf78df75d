"""Checkpoints that are quantised already: what an engine can be asked beside the format that they have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from autotuner.engines.engine import Engine
from autotuner.engines.flags.catalogue import Catalogue, load_catalogue
from autotuner.engines.loaded_formats import HALF
from autotuner.engines.one_engine import split_prefix, study_of
from autotuner.engines.problem import Problem
from autotuner.engines.registry import get_engine
from autotuner.engines.settings import format_value, is_flag
from autotuner.models.facts import ModelFacts, WeightFormat
from autotuner.space import Choice, SearchSpace, values_to_check
from autotuner.space.quantization import AUTO, PREFIX
from autotuner.study.model import Study

_ONLINE = "quantization-config"  # formats for weights as they are loaded, in a map


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
                told += _refusals(checkpoint, engine, catalogue, meaning.flags)
        if told:
            elsewhere = f", or name another checkpoint in model.variants.{value}" if field_name == "gemm" else ""
            rule = f"{_already(checkpoint)}; {'; '.join(dict.fromkeys(told))}: leave it auto{elsewhere}"
            yield Problem(f"space.quantization.{field_name}", value, rule, AUTO)
    for engine, own, catalogue in _engines(study):
        for key, name, value in _flags(own, space, engine.name):
            flag = catalogue.find(name)
            if flag is None or flag is catalogue.means("dtype") or value is None:
                continue
            refused = _refusals(checkpoint, engine, catalogue, {flag.name: value}, own.engine.args)
            if refused:
                rule = f"{_already(checkpoint)}; {refused[0]}"
                yield Problem(key, value, rule, checkpoint.method if flag.name != _ONLINE else None)


def _flags(own: Study, space: SearchSpace, engine: str) -> Iterator[tuple[str, str, Any]]:
    """Key, name and value of every flag that is fixed or searched."""
    yield from ((f"engine.args.{name}", name, value) for name, value in own.engine.args.items())
    for name, value in values_to_check(space):
        prefix, flag = split_prefix(name)
        if prefix in (None, engine) and is_flag(flag):
            yield f"space.parameters.{name}", flag, value


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
    engine: Engine,
    catalogue: Catalogue,
    flags: Mapping[str, Any],
    beside: Mapping[str, Any] = MappingProxyType({}),
) -> list[str]:
    """Why the engine does not load the checkpoint with these flags, ``beside`` being others that it has."""
    taken, method = engine.loaded_formats, checkpoint.method
    quantization, dtype = catalogue.means("weight_quantization"), catalogue.means("dtype")
    told = []
    for name, value in flags.items():
        if quantization is not None and name == quantization.name and isinstance(value, str):
            if value not in {method, *taken.by_all, *taken.beside.get(method, ())}:
                told.append(f"{engine.name} loads no {checkpoint.text} weights with --{name} {value}")
        elif name == _ONLINE and not _names_method(catalogue, beside):
            told.append(f"{engine.name} quantises with --{name} what is not quantised yet")
        elif dtype is not None and name == dtype.name and value not in taken.dtypes.get(method, HALF):
            told.append(f"{engine.name} computes {method} weights not in {value}")
    return told


def _names_method(catalogue: Catalogue, args: Mapping[str, Any]) -> bool:
    """Whether a study says how the weights are quantised: a map of formats then is of the others alone."""
    method = catalogue.means("weight_quantization")
    return any(value is not None and catalogue.find(name) is method for name, value in args.items())


def _already(checkpoint: WeightFormat) -> str:
    where = "the GGUF file holds" if checkpoint.method == "gguf" else "config.json says"
    return f"{where} weights that are quantised already, {checkpoint.text}"
