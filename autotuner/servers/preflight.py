"""What must be there on this machine before a study's servers can start: I/O that engines, being pure, leave out."""

from __future__ import annotations

import os
from pathlib import Path

from autotuner.engines import ModelFormat, Problem, get_engine
from autotuner.errors import InputError
from autotuner.servers.executables import resolve_argv
from autotuner.servers.secrets import resolve_headers, resolve_secrets
from autotuner.study.model import EndpointLauncher, Study


def model_problem(study: Study) -> Problem | None:
    """A model that should be a local file and is none; ``None`` when it is fine, or on a hub."""
    if isinstance(study.launcher, EndpointLauncher):
        return None
    path = Path(study.model.id)
    is_file = all(get_engine(name).model_format is ModelFormat.GGUF for name in study.engine.names)
    is_local = is_file or path.is_absolute() or study.model.id.startswith((".", "~"))
    if not is_local:
        return None
    if not path.exists():
        return Problem("model.id", study.model.id, "no such file", _nearest_file(path))
    if is_file and not path.is_file():
        return Problem("model.id", study.model.id, "must be a GGUF file, not a folder", _nearest_file(path / "*.gguf"))
    if not os.access(path, os.R_OK):
        return Problem("model.id", study.model.id, "can't be read: permission denied")
    return None


def adapter_problems(study: Study) -> list[Problem]:
    """LoRA adapters that should be local folders or files and are none."""
    if isinstance(study.launcher, EndpointLauncher) or study.workload.lora is None:
        return []
    return [
        Problem(f"workload.lora.adapters.{name}", path, "no such file or folder", _nearest_file(Path(path)))
        for name, path in study.workload.lora.adapters.items()
        if (Path(path).is_absolute() or path.startswith((".", "~"))) and not Path(path).expanduser().exists()
    ]


def executable_problem(study: Study, executable: str) -> Problem | None:
    """An executable (a Deployment's ``argv[0]``) that is neither here nor has a stand-in here."""
    if isinstance(study.launcher, EndpointLauncher):
        return None
    try:
        resolve_argv([executable])
    except InputError as error:
        return Problem("engine.command", executable, error.message)
    return None


def secret_problem(study: Study) -> Problem | None:
    """An environment variable that the study refers to and that is not set."""
    try:
        resolve_headers(study)
        if not isinstance(study.launcher, EndpointLauncher):
            resolve_secrets("engine.env", study.engine.env)
    except InputError as error:
        return Problem(error.key or "", error.value, error.message)
    return None


def _nearest_file(path: Path) -> str | None:
    """Another file of the same kind in the same folder."""
    folder = path.parent
    candidates = sorted(folder.glob(f"*{path.suffix}")) if folder.is_dir() and path.suffix else []
    return str(candidates[0]) if candidates else None
