"""What must be there on this machine before a study's servers can start: I/O that engines, being pure, leave out."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from autotuner.engines import ModelFormat, Problem, get_engine
from autotuner.errors import InfrastructureError, InputError
from autotuner.models.facts import ModelFacts, WeightFormat
from autotuner.servers.docker.client import runtimes
from autotuner.servers.machine.executables import resolve_argv
from autotuner.servers.secrets import needed_variables, unset_variables
from autotuner.study.model import DockerLauncher, Study

# Words of names in model.variants that say how numbers are stored.
_ALGORITHMS = frozenset({"awq", "gptq"})
_QUANTISED = _ALGORITHMS | {"fp8", "mxfp8", "int8", "int4", "nvfp4", "mxfp4", "bitsandbytes"}
_PLAIN = frozenset({"bf16", "fp16", "bfloat16", "float16"})


def model_problem(study: Study) -> Problem | None:
    """A model that should be a local file and is none; ``None`` when it is fine, or on a hub."""
    return _weights_problem(study, "model.id", study.model.id)


def variant_problems(study: Study, facts: Mapping[str, ModelFacts | None]) -> list[Problem]:
    """Checkpoints of ``model.variants`` that should be local and are none, and those of another format than they are
    named for. ``facts``: what is known of each; ``None`` where its files are not here."""
    found = []
    for name, model_id in study.model.variants.items():
        key = f"model.variants.{name}"
        problem = _weights_problem(study, key, model_id)
        told = facts.get(name)
        if problem is None and told is not None and not _is_named_for(name, told.weight_format):
            said = "no quantisation" if told.weight_format is None else told.weight_format.text
            problem = Problem(key, model_id, f"the checkpoint's own files say {said}, not {name}", fatal=False)
        found += [] if problem is None else [problem]
    return found


def _weights_problem(study: Study, key: str, model_id: str) -> Problem | None:
    if not study.launcher.starts_servers:
        return None
    path = Path(model_id)
    is_file = all(get_engine(name).model_format is ModelFormat.GGUF for name in study.engine.names)
    is_local = is_file or path.is_absolute() or model_id.startswith((".", "~"))
    if not is_local:
        return None
    if not path.exists():
        return Problem(key, model_id, "no such file", _nearest_file(path))
    if is_file and not path.is_file():
        return Problem(key, model_id, "must be a GGUF file, not a folder", _nearest_file(path / "*.gguf"))
    if not os.access(path, os.R_OK):
        return Problem(key, model_id, "can't be read: permission denied")
    return None


def _is_named_for(name: str, told: WeightFormat | None) -> bool:
    """Whether the name of a checkpoint agrees with its format; one that names no format does."""
    words = set(re.findall(r"[a-z0-9]+", name.lower()))
    if words & _PLAIN:
        return told is None
    if not (wanted := words & _QUANTISED):
        return True
    if told is None:
        return False
    if wanted & {*re.findall(r"[a-z0-9]+", told.method), *told.kinds}:
        return True
    # Other tools write weights that these algorithms made in formats of their own.
    return wanted <= _ALGORITHMS and told.method not in _ALGORITHMS and told.kind.startswith("int")


def adapter_problems(study: Study) -> list[Problem]:
    """LoRA adapters that should be local folders or files and are none."""
    if not study.launcher.starts_servers or study.workload.lora is None:
        return []
    return [
        Problem(f"workload.lora.adapters.{name}", path, "no such file or folder", _nearest_file(Path(path)))
        for name, path in study.workload.lora.adapters.items()
        if (Path(path).is_absolute() or path.startswith((".", "~"))) and not Path(path).expanduser().exists()
    ]


def executable_problem(study: Study, executable: str) -> Problem | None:
    """An executable (a Deployment's ``argv[0]``) that is neither here nor has a stand-in here; of a docker study, a
    daemon that does not answer here."""
    if not study.launcher.starts_servers:
        return None
    if isinstance(study.launcher, DockerLauncher):
        return _docker_problem()
    try:
        resolve_argv([executable])
    except InputError as error:
        return Problem("engine.command", executable, error.message)
    return None


def _docker_problem() -> Problem | None:
    try:
        runtimes()
    except InfrastructureError as error:
        return Problem("launcher.kind", "docker", f"no docker daemon answers on this machine: {error.message}")
    return None


def secret_problems(study: Study, *, starts_here: bool) -> list[Problem]:
    """Environment variables that the study refers to and that are not set here: fatal where its servers start here."""
    needed = needed_variables(study)
    where = "" if starts_here else " on this machine: it must be where servers start"
    return [
        Problem(key, variable, f"the environment variable {variable} is not set{where}", fatal=starts_here)
        for key, variable in needed.items()
        if unset_variables([variable])
    ]


def _nearest_file(path: Path) -> str | None:
    """Another file of the same kind in the same folder."""
    folder = path.parent
    candidates = sorted(folder.glob(f"*{path.suffix}")) if folder.is_dir() and path.suffix else []
    return str(candidates[0]) if candidates else None
