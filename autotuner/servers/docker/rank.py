"""One rank in a container: the process that a supervisor starts, and that owns the container.

    python -m autotuner.servers.docker.rank SPEC

SPEC is a JSON file (see ``Spec``), which is removed once it is read: secrets are in it. The container's output comes
out here, its exit code is ours; SIGTERM stops and removes it. ``LOST`` is our exit code when the daemon can't be
reached or can't do it: that says nothing about the Config.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from autotuner.errors import InfrastructureError
from autotuner.servers.docker.client import daemon

LOST = 97
PID_FILE = "container.pid"  # in the rank's folder: the container's first process, as this node numbers it
_STOP_S = 5


@dataclass(frozen=True)
class Spec:
    """A container to run. ``mounts``: (source, target, mode). ``gpu_ids`` None: no GPUs are asked of docker."""

    name: str
    image: str
    argv: tuple[str, ...]
    env: dict[str, str]
    folder: str
    labels: dict[str, str]
    mounts: tuple[tuple[str, str, str], ...] = ()
    gpu_ids: tuple[str, ...] | None = None
    cpuset: str = ""
    shm_bytes: int | None = None
    memory_bytes: int | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Readable by this user alone."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)

    @classmethod
    def take(cls, path: Path) -> Spec:
        """Reads the spec and removes its file."""
        values = json.loads(path.read_text(encoding="utf-8"))
        path.unlink()
        values["argv"] = tuple(values["argv"])
        values["mounts"] = tuple(tuple(mount) for mount in values["mounts"])
        return cls(**values)


def main() -> int:
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    spec = Spec.take(Path(sys.argv[1]))
    try:
        return run(spec, stop)
    except InfrastructureError as error:
        _say(error.message)
        _kill_by_pid(spec)
        return LOST


def run(spec: Spec, stop: threading.Event) -> int:
    """Runs the container to its end, or until it is to ``stop``. Raises InfrastructureError."""
    with daemon() as client:
        container = client.containers.create(**_arguments(spec))
        try:
            container.start()
            container.reload()
            Path(spec.folder, PID_FILE).write_text(str(container.attrs["State"]["Pid"]), encoding="ascii")
            ended = threading.Event()
            threading.Thread(target=_copy_output, args=(container, ended), daemon=True).start()
            while not stop.wait(0.1):
                if ended.is_set():
                    container.reload()  # raises when it is the daemon that has ended
                    return _exit_code(spec, container)
            return 0
        finally:
            with contextlib.suppress(Exception):  # a dead daemon has been told above
                container.stop(timeout=_STOP_S)
            with contextlib.suppress(Exception):
                container.remove(force=True, v=True)


def _arguments(spec: Spec) -> dict[str, Any]:
    from docker.types import DeviceRequest, Mount

    devices = []
    if spec.gpu_ids:
        devices.append(DeviceRequest(device_ids=list(spec.gpu_ids), capabilities=[["gpu"]]))
    return {
        "image": spec.image,
        "name": spec.name,
        "entrypoint": [spec.argv[0]],
        "command": list(spec.argv[1:]),
        "environment": spec.env,
        "labels": spec.labels,
        "working_dir": spec.folder,
        "mounts": [Mount(target, source, type="bind", read_only=mode == "ro") for source, target, mode in spec.mounts],
        "device_requests": devices,
        "cpuset_cpus": spec.cpuset or None,
        "network_mode": "host",
        "ipc_mode": "host",
        "shm_size": spec.shm_bytes,
        "mem_limit": spec.memory_bytes,
        "init": True,
        **spec.options,
    }


def _copy_output(container: Any, ended: threading.Event) -> None:
    with contextlib.suppress(Exception):  # the end of the stream, however it comes, is all that is to be known
        for chunk in container.logs(stream=True, follow=True):
            os.write(1, chunk)
    with contextlib.suppress(Exception):
        container.wait()
    ended.set()


def _exit_code(spec: Spec, container: Any) -> int:
    state = container.attrs["State"]
    code = int(state["ExitCode"])
    if state.get("OOMKilled"):
        _say(f"std::bad_alloc: the container was killed at its memory limit of {spec.memory_bytes} bytes")
    return code


def _kill_by_pid(spec: Spec) -> None:
    """Without a daemon the container's processes may live on: its first one takes all others along."""
    with contextlib.suppress(OSError, ValueError):
        os.kill(int(Path(spec.folder, PID_FILE).read_text(encoding="ascii")), signal.SIGKILL)


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main())
