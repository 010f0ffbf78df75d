"""A study and a Config as one engine sees them: without other engines and GPU types, and without prefixes in names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autotuner.engines.engine import Engine
from autotuner.engines.registry import engine_names, get_engine
from autotuner.engines.settings import ACCELERATOR, ENGINE
from autotuner.space.config import Config
from autotuner.study.model import EngineSettings, Study


def one_engine(study: Study, config: Config) -> tuple[Engine, Study, Config]:
    """The engine that a Config asks for, the study narrowed to it and to its GPU type, the Config in its own names.

    A study of one engine may name it in a prefix as well (``vllm.max-num-seqs``). Raises StudyError for an
    unknown engine.
    """
    name = str(config.values.get(ENGINE, study.engine.names[0]))
    own = _on_one_type(study_of(study, name), config.values.get(ACCELERATOR))
    return get_engine(name), own, Config(_own_values(config.values, name))


def _on_one_type(study: Study, accelerator: Any) -> Study:
    if accelerator is None or study.hardware.accelerators == [accelerator]:
        return study
    return study.model_copy(update={"hardware": study.hardware.model_copy(update={"accelerators": [str(accelerator)]})})


def study_of(study: Study, name: str) -> Study:
    """The study with ``name`` as its only engine: its own settings over those that all share."""
    own = study.engine.per_engine.get(name)
    if study.engine.name == name and own is None:
        return study
    own = own or EngineSettings()
    engine = study.engine.model_copy(
        update={
            "name": name,
            "version": own.version or study.engine.version,
            "args": {**_without(study.engine.args, own.args), **own.args},
            "env": {**study.engine.env, **own.env},
            "command": own.command or study.engine.command,
            "image": own.image or study.engine.image,
            "per_engine": {},
        }
    )
    return study.model_copy(update={"engine": engine})


def _without(args: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that the others do not spell otherwise."""
    names = {name.replace("_", "-") for name in others}
    return {name: value for name, value in args.items() if name in others or name.replace("_", "-") not in names}


def split_prefix(name: str) -> tuple[str | None, str]:
    """Engine and flag of a parameter ``vllm.max-num-seqs``; ``None`` for one that all engines share."""
    head, dot, rest = name.partition(".")
    return (head, rest) if dot and head in engine_names() else (None, name)


def _own_values(values: Mapping[str, Any], engine: str) -> dict[str, Any]:
    own: dict[str, Any] = {}
    for name, value in values.items():
        prefix, flag = split_prefix(name) if "." in name else (None, name)
        if name not in (ENGINE, ACCELERATOR) and prefix in (None, engine):
            own[flag] = value
    return own
