"""DockerStarter: a rank is a container, owned by a process under the supervisor."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from autotuner.engines.deployment import Mount
from autotuner.errors import InfrastructureError, InputError, ServerLostError
from autotuner.servers.docker.agent import ensure_agent
from autotuner.servers.docker.labels import labels
from autotuner.servers.docker.rank import LOST, PID_FILE, Spec
from autotuner.servers.rank_starter import RankOrder, Started, inherited_env
from autotuner.servers.supervision import RankProcess, Supervision

_GIB = 1024**3
_HUB_CACHE = Path("~/.cache/huggingface")


@dataclass(frozen=True)
class ContainerSettings:
    """What a study's ``launcher`` says of every container. ``options`` are keyword arguments of docker's SDK."""

    shm_gib: float | None = None
    memory_gib: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    mounts_hub_cache: bool = False


class DockerStarter:
    """Starts the ranks of one share in containers of the deployment's image."""

    def __init__(self, settings: ContainerSettings) -> None:
        self._settings = settings
        self._folders: list[Path] = []

    def base_env(self) -> dict[str, str]:
        return inherited_env()

    def command(self, order: RankOrder) -> Started:
        """Raises InputError without an image, InfrastructureError where the node agent can't be started."""
        if not order.image:
            raise InputError("engine.image: the docker launcher needs one", key="engine.image", rule="an image")
        ensure_agent()
        self._folders.append(order.folder)
        path = order.folder / "container.json"
        self._spec(order).write(path)
        argv = (sys.executable, "-m", "autotuner.servers.docker.rank", str(path))
        return Started(RankProcess(argv, {**inherited_env(), **order.tags}, order.folder, order.log))

    def pids(self, supervision: Supervision) -> Sequence[int]:
        """The containers' processes, as this node numbers them."""
        found: list[int] = []
        for folder in self._folders:
            try:
                first = psutil.Process(int((folder / PID_FILE).read_text(encoding="ascii")))
                found += [first.pid, *(child.pid for child in first.children(recursive=True))]
            except (OSError, ValueError, psutil.Error):
                continue  # not started yet, or gone
        return found

    def check_exit(self, exit_code: int) -> None:
        if exit_code == LOST:
            raise ServerLostError("docker could not run the container, or was lost; the server's log says why")

    def clean_up(self) -> None:
        """The rank's own process has removed its container; what it could not, the node agent does."""

    def _spec(self, order: RankOrder) -> Spec:
        settings = self._settings
        env = {**order.env(), **_gpu_env(order.gpu_ids)}
        return Spec(
            name=f"autotuner-{order.tags.get('AUTOTUNER_STUDY', 'study')[:12]}-{order.name}-{os.getpid()}",
            image=order.image or "",
            argv=order.argv(),
            env=env,
            folder=str(order.folder),
            labels=labels(order.tags, order.gpu_ids),
            mounts=tuple((m.source, m.target, "ro" if m.read_only else "rw") for m in self._mounts(order)),
            gpu_ids=order.gpu_ids if order.gpu_ids and _has_real_gpus() else None,
            cpuset=",".join(map(str, order.cores)),
            shm_bytes=None if settings.shm_gib is None else int(settings.shm_gib * _GIB),
            memory_bytes=None if settings.memory_gib is None else int(settings.memory_gib * _GIB),
            options=settings.options,
        )

    def _mounts(self, order: RankOrder) -> list[Mount]:
        folder = str(order.folder)
        mounts = [Mount(folder, folder, read_only=False), *order.mounts]
        if self._settings.mounts_hub_cache:
            cache = Path(os.environ.get("HF_HOME", str(_HUB_CACHE.expanduser())))
            cache.mkdir(parents=True, exist_ok=True)
            mounts.append(Mount(str(cache), "/root/.cache/huggingface", read_only=False))
        for mount in mounts:
            if not Path(mount.source).exists():
                raise InfrastructureError(f"{mount.source} is to be mounted, and is not on this node")
        return mounts


def _has_real_gpus() -> bool:
    """GPUs that only Ray counts can't be asked of docker."""
    return shutil.which("nvidia-smi") is not None


def _gpu_env(gpu_ids: tuple[str, ...]) -> dict[str, str]:
    """Inside a container real GPUs are numbered from 0; without any, none is to be seen."""
    if not gpu_ids:
        return {"NVIDIA_VISIBLE_DEVICES": "void", "CUDA_VISIBLE_DEVICES": ""}
    seen = [str(number) for number in range(len(gpu_ids))] if _has_real_gpus() else list(gpu_ids)
    return {"CUDA_VISIBLE_DEVICES": ",".join(seen)}
