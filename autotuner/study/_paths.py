"""Paths in a study are relative to its file."""

from __future__ import annotations

import os.path
from pathlib import Path

from autotuner.study.model import Dataset, EndpointLauncher, ScenarioSource, Study, Trace

_MODEL_SUFFIXES = (".gguf", ".safetensors", ".bin", ".pt")


def with_absolute_paths(study: Study, folder: Path) -> Study:
    """The study with the paths of model, datasets and traces made absolute; a hub id, and the name of a model that
    a running server has, stay as they are."""
    workload = study.workload
    sources = {
        "scenario": None if workload.scenario is None else _source(workload.scenario, folder),
        "scenarios": [
            part.model_copy(update={"scenario": _source(part.scenario, folder)}) for part in workload.scenarios
        ],
    }
    changes: dict[str, object] = {"workload": workload.model_copy(update=sources)}
    if not isinstance(study.launcher, EndpointLauncher) and is_local_model(study.model.id, folder):
        changes["model"] = study.model.model_copy(update={"id": absolute(study.model.id, folder)})
    return study.model_copy(update=changes)


def is_local_model(model_id: str, folder: Path) -> bool:
    """Whether a model's id is a path: by how it looks, or because there is such a file."""
    if model_id.startswith((".", "/", "~")) or model_id.lower().endswith(_MODEL_SUFFIXES):
        return True
    return (folder / model_id).exists()


def absolute(path: str, folder: Path) -> str:
    """Against ``folder``, without ``..`` and without following links."""
    return os.path.normpath(folder / Path(path).expanduser())


def _source(source: ScenarioSource, folder: Path) -> ScenarioSource:
    if isinstance(source, Dataset):
        return Dataset(dataset=absolute(source.dataset, folder))
    if isinstance(source, Trace):
        return Trace(trace=absolute(source.trace, folder))
    return source
