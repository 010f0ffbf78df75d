"""doctor: what is installed, reachable and free."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any, Literal

from autotuner.engines import engine_names, get_engine
from autotuner.errors import InfrastructureError
from autotuner.servers import accelerator_name, find_leftovers
from autotuner.servers.docker.client import runtimes as daemon_runtimes

if TYPE_CHECKING:
    from autotuner.tuning.decisions.placement_policy import Node

State = Literal["ok", "absent", "broken"]

# package to import → (name on the index, extra that installs it or "" for a requirement, what it is for)
_PACKAGES = {
    "ray": ("ray", "", "runs the trials"),
    "optuna": ("optuna", "", "searchers tpe, nsga2"),
    "cmaes": ("cmaes", "cmaes", "searcher cmaes"),
    "hyperopt": ("hyperopt", "", "searcher hyperopt"),
    "torch": ("torch", "gp", "searcher gp"),
    "xllamacpp": ("xllamacpp", "llamacpp", "llama.cpp server without a llama-server binary"),
    "huggingface_hub": ("huggingface_hub", "", "weights fetched before start-up is timed"),
    "pynvml": ("nvidia-ml-py", "", "empty GPUs before a launch; GPU memory, power and energy"),
    "openpyxl": ("openpyxl", "xlsx", "report --format xlsx"),
}


_TIMEOUT_S = 30.0  # for a Python to start


@dataclass(frozen=True)
class Finding:
    """``absent`` is fine unless a study asks for it; ``broken`` is not."""

    part: str
    state: State
    detail: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def doctor(address: str | None = None) -> list[Finding]:
    """Looks at this machine, and at the Ray cluster at ``address`` where one is given. Starts nothing."""
    return [*_machine(), *_packages(), *_servers(), *(_cluster(address) if address else [])]


def _machine() -> Iterator[Finding]:
    supported = sys.version_info >= (3, 11)
    yield Finding("python", "ok" if supported else "broken", sys.version.split()[0])
    yield Finding("cores", "ok", f"{len(os.sched_getaffinity(0))} usable by this process")
    disk = shutil.disk_usage(".")
    yield Finding("disk", "ok" if disk.free > 1 << 30 else "broken", f"{disk.free / (1 << 30):.1f} GiB free here")
    name = accelerator_name(("0",))
    yield _docker()
    yield Finding("GPU", "ok" if name else "absent", name or "nvidia-smi names none")


def _docker() -> Finding:
    try:
        version, runtimes = daemon_runtimes()
    except InfrastructureError as error:
        return Finding("docker", "absent", error.message)
    gpus = "with GPUs" if "nvidia" in runtimes else "without the NVIDIA runtime: no GPUs in containers"
    return Finding("docker", "ok", f"{version}, {gpus}")


def _packages() -> Iterator[Finding]:
    for module, (package, extra, purpose) in _PACKAGES.items():
        if importlib.util.find_spec(module) is not None:
            yield Finding(package, "ok", f"{metadata.version(package)}: {purpose}")
        elif extra:
            yield Finding(package, "absent", f"{purpose}: pip install 'autotuner-llm[{extra}]'")
        else:
            yield Finding(package, "broken", f"{purpose}: not installed")


def _servers() -> Iterator[Finding]:
    path = shutil.which("llama-server")
    yield Finding("llama-server", "ok" if path else "absent", path or "not on the PATH; xllamacpp stands in")
    for name in engine_names():
        if name != "llamacpp":
            yield _engine(name, get_engine(name).command)
    left = find_leftovers()
    yield Finding(
        "leftovers", "broken" if left else "ok", f"{len(left)} of dead studies" + (": autotuner reap" if left else "")
    )


def _engine(name: str, command: Sequence[str]) -> Finding:
    """An engine whose command is an executable, or a module of the Python that is first on the PATH."""
    executable, path = command[0], shutil.which(command[0])
    if path is None:
        return Finding(name, "absent", f"{executable} is not on the PATH; engine.command names another")
    if "-m" not in command:
        return Finding(name, "ok", path)
    package = command[command.index("-m") + 1].partition(".")[0]
    if _has_package(path, package):
        return Finding(name, "ok", f"{package} of {path}")
    return Finding(name, "absent", f"{path} has no package {package}; engine.command names another Python")


def _has_package(python: str, package: str) -> bool:
    """Whether that interpreter finds the package; it is not imported."""
    question = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
    try:
        asked = subprocess.run([python, "-c", question], capture_output=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return asked.returncode == 0


def _cluster(address: str) -> Iterator[Finding]:
    from autotuner.tuning.on_ray.cluster import Cluster
    from autotuner.tuning.on_ray.session import ray_session

    try:
        with ray_session(address):
            cluster = Cluster()
            for node in cluster.nodes():
                yield Finding(f"node {cluster.name_of(node.node_id)}", "ok", _node_text(node))
    except InfrastructureError as error:
        yield Finding("cluster", "broken", error.message)


def _node_text(node: Node) -> str:
    """What a node has, of which type, and what of it is free."""
    told = f"{node.free_cpus:g} of {node.cpus:g} CPU free"
    if node.gpus:
        of_type = f"of {node.accelerator}" if node.accelerator else "of a type that no label tells (autotuner labels)"
        told += f", {node.free_gpus} of {node.gpus} GPU free, {of_type}"
    return told if node.open else f"{told}; drained: it gets no new trials"
