"""Paths in a study are relative to its file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from autotuner.models.files import is_local_model
from autotuner.strict.paths import absolute
from autotuner.study.model import Dataset, EndpointLauncher, ReplayLauncher, ScenarioSource, Study, Trace


def with_absolute_paths(study: Study, folder: Path) -> Study:
    """The study with the paths of models, adapters, datasets, traces and tables made absolute; a hub id, and a model
    that is served already or whose measurements are replayed, stay as they are."""
    workload = study.workload
    parts: dict[str, object] = {
        "scenario": None if workload.scenario is None else _source(workload.scenario, folder),
        "scenarios": [
            part.model_copy(update={"scenario": _source(part.scenario, folder)}) for part in workload.scenarios
        ],
    }
    if isinstance(study.launcher, ReplayLauncher):
        table = absolute(study.launcher.table, folder)
        launcher = study.launcher.model_copy(update={"table": table})
        return study.model_copy(update={"launcher": launcher, "workload": workload.model_copy(update=parts)})
    if isinstance(study.launcher, EndpointLauncher):
        return study.model_copy(update={"workload": workload.model_copy(update=parts)})
    if workload.lora is not None:
        parts["lora"] = workload.lora.model_copy(update={"adapters": _weights(workload.lora.adapters, folder)})
    model = {"id": _weight(study.model.id, folder), "variants": _weights(study.model.variants, folder)}
    changes = {"workload": workload.model_copy(update=parts), "model": study.model.model_copy(update=model)}
    return study.model_copy(update=changes)


def _weight(model_id: str, folder: Path) -> str:
    return absolute(model_id, folder) if is_local_model(model_id, folder) else model_id


def _weights(ids: Mapping[str, str], folder: Path) -> dict[str, str]:
    return {name: _weight(model_id, folder) for name, model_id in ids.items()}


def _source(source: ScenarioSource, folder: Path) -> ScenarioSource:
    if isinstance(source, Dataset):
        return Dataset(dataset=absolute(source.dataset, folder))
    if isinstance(source, Trace):
        return Trace(trace=absolute(source.trace, folder))
    return source
