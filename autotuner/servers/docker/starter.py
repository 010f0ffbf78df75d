"""DockerStarter: a rank is a container, owned by a process under the supervisor."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import psutil

from autotuner.engines.deployment import Mount
from autotuner.engines.logs.log_pattern import last_lines
from autotuner.errors import InfrastructureError, InputError, ServerLostError
from autotuner.servers.docker.agent import ensure_agent
from autotuner.servers.docker.client import fetch_image, remove
from autotuner.servers.docker.compile_cache import cache_variables, compile_cache
from autotuner.servers.docker.gpu_holders import wait_until_unheld
from autotuner.servers.docker.labels import labels
from autotuner.servers.docker.settings import ContainerSettings
from autotuner.servers.docker.spec import LOST, PID_FILE, Spec
from autotuner.servers.supervision.rank_starter import RankOrder, Started, inherited_env
from autotuner.servers.supervision.supervision import RankProcess, Supervision
from autotuner.servers.tail import tail_of

_GIB = 1024**3
_HUB_CACHE = Path("~/.cache/huggingface")
_HUB_CACHE_INSIDE = "/root/.cache/huggingface"
_TAIL_BYTES = 2000


class DockerStarter:
    """Starts the ranks of one share in containers of the deployment's image."""

    def __init__(self, settings: ContainerSettings) -> None:
        self._settings = settings
        self._orders: list[RankOrder] = []
        self._names: list[str] = []

    def base_env(self) -> dict[str, str]:
        return inherited_env()

    def prepare(self, image: str | None, gpu_ids: Sequence[str]) -> None:
        """Pulls the image, sees that no other container of ours has one of the GPUs.

        Raises InputError without an image, InfrastructureError for what this node can't do.
        """
        if not image:
            raise InputError("engine.image: the docker launcher needs one", key="engine.image", rule="an image")
        fetch_image(image)
        if has_real_gpus():
            wait_until_unheld(gpu_ids)

    def command(self, order: RankOrder) -> Started:
        """Sees that the node agent runs: one that runs with nothing to look after soon ends.

        Raises InfrastructureError without it, and for a mount whose source is not on this node.
        """
        ensure_agent()
        # Launch ids are a study's own, and one is tried again on other ports.
        name = f"autotuner-{order.name}-{uuid.uuid4().hex[:12]}"
        self._orders.append(order)
        self._names.append(name)
        path = order.folder / "container.json"
        self._spec(order, name).write(path)
        argv = (sys.executable, "-P", "-m", "autotuner.servers.docker.rank", str(path))
        return Started(RankProcess(argv, {**inherited_env(), **order.tags}, order.folder, order.log))

    def pids(self, supervision: Supervision) -> Sequence[int]:
        """The containers' processes, as this node numbers them."""
        found: list[int] = []
        for order in self._orders:
            try:
                first = psutil.Process(int((order.folder / PID_FILE).read_text(encoding="ascii")))
                found += [first.pid, *(child.pid for child in first.children(recursive=True))]
            except (OSError, ValueError, psutil.Error):
                continue  # not started yet, or gone
        return found

    def check_exit(self, exit_code: int) -> None:
        if exit_code == LOST:
            said = last_lines(tail_of([order.log for order in self._orders], _TAIL_BYTES), 1)
            raise ServerLostError(f"docker could not run the container, or was lost: {said}")

    def clean_up(self) -> None:
        """Removes what a rank's own process could not, having been killed. Without a daemon the node agent does."""
        with contextlib.suppress(InfrastructureError):
            for name in self._names:
                remove(name)

    def _spec(self, order: RankOrder, name: str) -> Spec:
        settings = self._settings
        env = {**order.env(), **_gpu_env(order.gpu_ids)}
        if settings.mounts_hub_cache:
            env.setdefault("HF_HOME", _HUB_CACHE_INSIDE)
        if settings.keeps_compiled:
            env = {**cache_variables(), **env}
        return Spec(
            name=name,
            image=order.image or "",
            argv=order.argv(),
            env=env,
            folder=str(order.folder),
            labels=labels(order.tags, order.gpu_ids),
            mounts=tuple((m.source, m.target, "ro" if m.read_only else "rw") for m in self._mounts(order)),
            gpu_ids=order.gpu_ids if order.gpu_ids and has_real_gpus() else None,
            cpuset=",".join(map(str, order.cores)),
            shm_bytes=None if settings.shm_gib is None else int(settings.shm_gib * _GIB),
            memory_bytes=None if settings.memory_gib is None else int(settings.memory_gib * _GIB),
            options=settings.options,
        )

    def _mounts(self, order: RankOrder) -> list[Mount]:
        folder = str(order.folder)
        mounts = [Mount(folder, folder, read_only=False), *order.mounts]
        if self._settings.mounts_hub_cache:
            cache = Path(os.environ.get("HF_HOME") or _HUB_CACHE).expanduser()
            cache.mkdir(parents=True, exist_ok=True)
            mounts.append(Mount(str(cache), _HUB_CACHE_INSIDE, read_only=False))
        if self._settings.keeps_compiled:
            mounts.append(compile_cache(order.image or ""))
        for mount in mounts:
            if not Path(mount.source).exists():
                raise InfrastructureError(f"{mount.source} is to be mounted, and is not on this node")
        return mounts


def has_real_gpus() -> bool:
    """Whether this node has NVIDIA's driver. GPUs that only Ray counts can't be asked of docker."""
    return shutil.which("nvidia-smi") is not None


def _gpu_env(gpu_ids: tuple[str, ...]) -> dict[str, str]:
    """Inside a container real GPUs are numbered from 0; without any, none is to be seen."""
    if not gpu_ids:
        return {"NVIDIA_VISIBLE_DEVICES": "void", "CUDA_VISIBLE_DEVICES": ""}
    seen = [str(number) for number in range(len(gpu_ids))] if has_real_gpus() else list(gpu_ids)
    return {"CUDA_VISIBLE_DEVICES": ",".join(seen)}
