"""The node agent: removes containers whose holder is dead, when all that should have done it was killed.

A process of its own on each node, one for a user, that belongs to no trial and no Ray worker. It ends by itself when
nothing of ours has been there for a while.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import psutil

from autotuner.errors import InfrastructureError
from autotuner.servers._lock_file import lock_folder, try_lock
from autotuner.servers.docker.client import FoundContainer, our_containers, remove
from autotuner.servers.docker.labels import is_orphaned
from autotuner.servers.rank_starter import inherited_env
from autotuner.servers.tags import HOLDER, LAUNCH, Owner, processes_with

_EVERY_S = 1.0
_PATIENCE = 2  # looks at an orphan before it is removed: its supervisor acts first
_ENDS_AFTER_S = 15.0  # with nothing of ours to look after
_STARTED_WITHIN_S = 10.0


def ensure_agent() -> None:
    """Starts the agent unless one runs. Raises InfrastructureError when it does not come up."""
    path = lock_folder("agent") / "agent.lock"
    held = try_lock(path)
    if held is None:
        return
    os.close(held)
    command = [sys.executable, "-m", "autotuner.servers.docker.agent"]
    # It forks and lets its first process end, so that it is no child of ours, which Ray would kill with this worker.
    subprocess.run(command, env=inherited_env(), check=True, stdin=subprocess.DEVNULL, close_fds=True, timeout=60)
    ends_at = time.monotonic() + _STARTED_WITHIN_S
    while (held := try_lock(path)) is not None:
        os.close(held)
        if time.monotonic() > ends_at:
            raise InfrastructureError("the node agent that looks after containers did not start")
        time.sleep(0.05)


class Agent:
    """One look after another; ``look`` says whether there was anything of ours."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}  # container id → looks at which it was an orphan

    def look(self) -> bool:
        try:
            containers = our_containers()
        except InfrastructureError:
            return _end_processes_of_the_dead()
        self._remove_orphans(containers)
        return bool(containers)

    def _remove_orphans(self, containers: list[FoundContainer]) -> None:
        orphans = [container for container in containers if is_orphaned(container.labels)]
        self._seen = {one.id: self._seen.get(one.id, 0) + 1 for one in orphans}
        for one in orphans:
            if self._seen[one.id] >= _PATIENCE:
                with contextlib.suppress(InfrastructureError):  # the next look tries again
                    remove(one.id)


def _end_processes_of_the_dead() -> bool:
    """Without a daemon: containers' processes carry our tags too. Returns whether any was there."""
    ours = [process for process in processes_with(LAUNCH) if process.pid != os.getpid()]
    for process in ours:
        with contextlib.suppress(psutil.Error):
            if Owner.is_dead_here(process.environ().get(HOLDER, "")):
                process.kill()
    return bool(ours)


def main() -> int:
    if os.fork():
        return 0
    os.setsid()
    if os.fork():
        return 0
    lock = try_lock(lock_folder("agent") / "agent.lock")
    if lock is None:
        return 0
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    agent = Agent()
    last = time.monotonic()
    while time.monotonic() - last < _ENDS_AFTER_S:
        if agent.look():
            last = time.monotonic()
        time.sleep(_EVERY_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
