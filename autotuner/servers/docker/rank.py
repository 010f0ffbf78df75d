"""One rank in a container: the process that a supervisor starts, and that owns the container.

    python -m autotuner.servers.docker.rank SPEC

SPEC is a JSON file (see ``Spec``), which is removed once it is read: secrets are in it. The container's output comes
out here, its exit code is ours; SIGTERM stops and removes it. ``LOST`` is our exit code when the daemon can't be
reached, can't do it, or has itself ended the container (a `docker stop`, a daemon that restarts): that says nothing
about the Config.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import psutil

from autotuner.engines.logs.log_pattern import KILLED_FOR_MEMORY
from autotuner.errors import InfrastructureError
from autotuner.servers.docker.client import daemon, ended_by_itself
from autotuner.servers.docker.labels import KEEPER_LABEL, LAUNCH_LABEL
from autotuner.servers.docker.spec import LOST, PID_FILE, Spec
from autotuner.servers.supervision.tags import LAUNCH, owner_tag

_STOP_S = 5
_POLL_S = 0.1
# Docker's own copy of the output; the study's folder has all of it.
_LOGS = {"type": "json-file", "config": {"max-size": "64m", "max-file": "2"}}


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
            return _wait(spec, container, ended, stop)
        finally:
            with contextlib.suppress(Exception):  # a dead daemon is told by what is under way
                container.stop(timeout=_STOP_S)
            with contextlib.suppress(Exception):
                container.remove(force=True, v=True)


def _wait(spec: Spec, container: Any, ended: threading.Event, stop: threading.Event) -> int:
    while not stop.wait(_POLL_S):
        if not ended.is_set():
            continue
        container.reload()  # raises when it is the daemon that has ended
        state = container.attrs["State"]
        if state["Running"]:
            continue  # it has closed its output, or the daemon its connections, and runs on
        if state.get("OOMKilled"):
            _say(f"{KILLED_FOR_MEMORY} of {spec.memory_bytes} bytes")
        elif not ended_by_itself(container.client, container.id):
            raise InfrastructureError("docker ended the container, which nothing of ours had asked for")
        code = int(state["ExitCode"])
        return code if code != LOST else 1  # that one has a meaning of ours
    return 0


def _arguments(spec: Spec) -> dict[str, Any]:
    """As docker's SDK takes them. The container carries the tag of its launch, and who owns it."""
    launch = os.environ.get(LAUNCH, "")
    gpus = [{"device_ids": list(spec.gpu_ids), "capabilities": [["gpu"]]}] if spec.gpu_ids else []
    return {
        "image": spec.image,
        "name": spec.name,
        "entrypoint": [spec.argv[0]],
        "command": list(spec.argv[1:]),
        "environment": {**spec.env, LAUNCH: launch},
        "labels": {**spec.labels, LAUNCH_LABEL: launch, KEEPER_LABEL: owner_tag()},
        "working_dir": spec.folder,
        "mounts": [
            {"Type": "bind", "Source": source, "Target": target, "ReadOnly": mode == "ro"}
            for source, target, mode in spec.mounts
        ],
        "device_requests": gpus,
        "cpuset_cpus": spec.cpuset or None,
        "network_mode": "host",
        "ipc_mode": "host",
        "shm_size": spec.shm_bytes,
        "mem_limit": spec.memory_bytes,
        "memswap_limit": spec.memory_bytes,  # no swap: a server that swaps is not what is to be measured
        "log_config": _LOGS,
        "init": True,
        **spec.options,
    }


def _copy_output(container: Any, ended: threading.Event) -> None:
    with contextlib.suppress(Exception):  # the end of the stream, however it comes, is all that is to be known
        for chunk in container.logs(stream=True, follow=True):
            with contextlib.suppress(OSError):  # a full disk: the server must not wait for it
                os.write(1, chunk)
    ended.set()


def _kill_by_pid(spec: Spec) -> None:
    """Without a daemon the container's processes may live on: its first one takes all others along."""
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        first = psutil.Process(int(Path(spec.folder, PID_FILE).read_text(encoding="ascii")))
        if first.environ().get(LAUNCH) == os.environ.get(LAUNCH):  # and no other process that has got its number
            first.kill()


def _say(line: str) -> None:
    """On a line of its own, whatever the container wrote last."""
    with contextlib.suppress(OSError):
        os.write(1, f"\n{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main())
