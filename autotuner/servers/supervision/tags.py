"""The environment variables by which Autotuner knows its own processes, and who owns them."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

STUDY = "AUTOTUNER_STUDY"
TRIAL = "AUTOTUNER_TRIAL"
OWNER = "AUTOTUNER_OWNER"
HOLDER = "AUTOTUNER_HOLDER"  # the process on this node that launched it; the driver may be on another host
LAUNCH = "AUTOTUNER_LAUNCH"  # "<launch id>/<a word that no other launch has>"


@dataclass(frozen=True)
class Owner:
    """The driver process that processes belong to; written as ``host:pid:starttime:namespace``.

    ``start`` is its start in clock ticks since boot (proc_pid_stat(5)), so that another process that got
    the same pid later is not taken for it. Wall-clock times won't do: they move when the clock is set.
    ``namespace`` is the inode of the PID namespace that ``pid`` is of: a container with its host's network has the
    host's name too. 0: not known.
    """

    host: str
    pid: int
    start: int
    namespace: int = 0

    def __str__(self) -> str:
        return f"{self.host}:{self.pid}:{self.start}:{self.namespace}"

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """The owner that ``text`` names, or ``None`` when it names none."""
        host, *numbers = text.split(":")
        if not host or len(numbers) not in (2, 3) or not all(number.isdigit() for number in numbers):
            return None
        return cls(host, *map(int, numbers))

    @classmethod
    def is_dead_here(cls, text: str) -> bool:
        """Whether ``text`` names a process of this host that has ended."""
        owner = cls.parse(text)
        return owner is not None and owner.is_here and not owner.is_alive

    @property
    def is_here(self) -> bool:
        """Whether it ran on this host, where we see it by its pid, so that its death can be told."""
        return self.host == socket.gethostname() and self.namespace in (0, _pid_namespace())

    @property
    def is_alive(self) -> bool:
        """Whether it still runs. Only means something where it ``is_here``."""
        return _start_ticks(self.pid) == self.start


def _pid_namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _start_ticks(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; ``None`` for one that has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = stat.rpartition(b")")[2].split()
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def owner_tag(pid: int | None = None) -> str:
    """The ``AUTOTUNER_OWNER`` of what the process ``pid`` (default: this one) starts."""
    pid = os.getpid() if pid is None else pid
    start = _start_ticks(pid)
    if start is None:
        raise ProcessLookupError(f"no process {pid}")
    return str(Owner(socket.gethostname(), pid, start, _pid_namespace()))


def tags(study_id: str, trial_id: str, owner: str) -> dict[str, str]:
    """The environment that marks every process of a trial that this process holds. ``owner``: the driver's tag."""
    return {STUDY: study_id, TRIAL: trial_id, OWNER: owner, HOLDER: owner_tag()}


def processes_with(name: str, value: str | None = None) -> list[psutil.Process]:
    """This user's running processes whose environment has ``name`` (``= value``), this process excepted."""
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            if process.uids().real != os.getuid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            tag = process.environ().get(name)
        except psutil.Error:
            continue  # it ended meanwhile, or is not ours to look at
        if tag is not None and value in (None, tag):
            found.append(process)
    return found


def kill_processes_with(name: str, value: str, *, deadline_s: float = 10.0) -> list[psutil.Process]:
    """SIGKILLs every process that carries the tag, until none is left; returns what would not go."""
    victims: list[psutil.Process] = []
    rounds = max(1, int(deadline_s / 0.5))
    for _ in range(rounds):
        victims = processes_with(name, value)
        if not victims:
            return []
        for process in victims:
            try:
                process.kill()
            except psutil.Error:
                continue
        psutil.wait_procs(victims, timeout=0.5)
    return victims
