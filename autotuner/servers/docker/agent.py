"""The node agent: removes containers whose holder is dead, when all that should have done it was killed.

A process of its own on each node, one for a user and daemon, that belongs to no trial and no Ray worker. It ends by
itself when nothing of ours has been there for a while. It carries none of our tags, so that no reaper takes it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil

from autotuner.errors import InfrastructureError
from autotuner.servers.docker.client import our_containers, remove
from autotuner.servers.docker.labels import is_left
from autotuner.servers.machine.lock_file import lock_folder, try_lock
from autotuner.servers.supervision.rank_starter import inherited_env
from autotuner.servers.supervision.tags import HOLDER, LAUNCH, Owner, processes_with

_EVERY_S = 1.0
_PATIENCE = 2  # looks at what a dead holder left before it is ended: its supervisor acts first
_ENDS_AFTER_S = 15.0  # with nothing of ours to look after
_STARTED_WITHIN_S = 30.0
_DAEMON_TIMEOUT_S = 5.0


def ensure_agent() -> None:
    """Starts the agent unless one runs. Raises InfrastructureError when it does not come up."""
    path = _lock_path()
    path.touch(mode=0o600)  # one that is about to end goes on
    if _is_held(path):
        return
    command = [sys.executable, "-m", "autotuner.servers.docker.agent"]
    # It forks and lets its first process end, so that it is no child of ours, which Ray would kill with this worker.
    try:
        subprocess.run(command, env=inherited_env(), check=True, stdin=subprocess.DEVNULL, timeout=_STARTED_WITHIN_S)
    except (OSError, subprocess.SubprocessError) as error:
        raise InfrastructureError(f"the node agent that looks after containers did not start: {error}") from error
    ends_at = time.monotonic() + _STARTED_WITHIN_S
    while not _is_held(path):
        if time.monotonic() > ends_at:
            raise InfrastructureError("the node agent that looks after containers did not start")
        time.sleep(0.05)


def _lock_path() -> Path:
    """Each daemon has its own agent."""
    daemon = os.environ.get("DOCKER_HOST", "")
    return lock_folder("agent") / f"{hashlib.sha256(daemon.encode()).hexdigest()[:16]}.lock"


def _is_held(path: Path) -> bool:
    held = try_lock(path)
    if held is not None:
        os.close(held)
    return held is None


class Agent:
    """One look after another; ``look`` says whether there was anything of ours."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}  # what a dead holder left → looks at which it was there

    def look(self) -> bool:
        try:
            containers = our_containers(_DAEMON_TIMEOUT_S)
        except InfrastructureError:
            return self._end_processes()
        for container_id in self._due(one.id for one in containers if is_left(one.labels)):
            with contextlib.suppress(InfrastructureError):  # the next look tries again
                remove(container_id)
        return bool(containers)

    def _end_processes(self) -> bool:
        """Without a daemon: containers' processes, which outlive it, carry our tags too."""
        ours = {str(process.pid): process for process in processes_with(LAUNCH)}
        for pid in self._due(pid for pid, process in ours.items() if _has_no_holder(process)):
            with contextlib.suppress(psutil.Error):
                ours[pid].kill()
        return bool(ours)

    def _due(self, left: Iterable[str]) -> list[str]:
        self._seen = {one: self._seen.get(one, 0) + 1 for one in left}
        return [one for one, looks in self._seen.items() if looks >= _PATIENCE]


def _has_no_holder(process: psutil.Process) -> bool:
    try:
        return Owner.is_dead_here(process.environ().get(HOLDER, ""))
    except psutil.Error:
        return False  # it ended meanwhile


def main() -> int:
    if os.fork():
        return 0
    os.setsid()
    if os.fork():
        return 0
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    look_after(_lock_path(), Agent().look)
    return 0


def look_after(path: Path, look: Callable[[], bool]) -> None:
    """Looks again and again while there is anything of ours, or ``path`` was touched of late; holds its lock meanwhile.

    Who touches it after the last look and sees it locked relies on this process: it then goes on.
    """
    known = 0
    while path.stat().st_mtime_ns != known and (lock := try_lock(path)) is not None:
        known = _look_until_idle(path, look)
        os.close(lock)


def _look_until_idle(path: Path, look: Callable[[], bool]) -> int:
    """The time, in ns, of the last touch that it has seen."""
    idle_since = time.time()
    while True:
        touched_ns = path.stat().st_mtime_ns
        idle_since = max(time.time() if look() else idle_since, touched_ns / 1e9)
        if time.time() - idle_since >= _ENDS_AFTER_S:
            return touched_ns
        time.sleep(_EVERY_S)


if __name__ == "__main__":
    sys.exit(main())
