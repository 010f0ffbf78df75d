"""The reaper: ends what dead studies left behind, and nothing else.

A leftover is a process of this user whose environment carries AUTOTUNER_STUDY and an AUTOTUNER_OWNER of
this host, and whose owner, the study's driver, is dead. Processes of a driver on another host are that
host's to judge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psutil

from autotuner.servers.tags import OWNER, STUDY, TRIAL, Owner, processes_with

GRACE_S = 5.0


@dataclass(frozen=True)
class Leftover:
    """A process whose driver is dead. ``command`` is its argv, for people to read."""

    pid: int
    study: str
    trial: str
    command: str


def find_leftovers(study: str | None = None) -> list[Leftover]:
    """What ``reap`` would end now, of one study id or of all."""
    return [left for _, left in _find(study)]


def reap(study: str | None = None, *, grace_s: float = GRACE_S) -> list[Leftover]:
    """Ends every leftover, by SIGTERM and after ``grace_s`` seconds by SIGKILL; returns what it ended."""
    found = _find(study)
    processes = [process for process, _ in found]
    _signal(processes, kill=False)
    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    _signal(alive, kill=True)
    _, stuck = psutil.wait_procs(alive, timeout=grace_s)
    return [left for process, left in found if process not in stuck]


def _find(study: str | None) -> list[tuple[psutil.Process, Leftover]]:
    processes = processes_with(STUDY, study)
    return [(process, left) for process in processes if (left := _as_leftover(process)) is not None]


def _as_leftover(process: psutil.Process) -> Leftover | None:
    try:
        environment = process.environ()
        command = " ".join(process.cmdline())
    except psutil.Error:
        return None  # it ended meanwhile
    owner = Owner.parse(environment.get(OWNER, ""))
    if owner is None or not owner.is_here or owner.is_alive:
        return None
    return Leftover(process.pid, environment[STUDY], environment.get(TRIAL, ""), command)


def _signal(processes: Sequence[psutil.Process], *, kill: bool) -> None:
    for process in processes:
        try:
            # psutil compares start times first: a pid that was given to another process is left alone.
            process.kill() if kill else process.terminate()
        except psutil.Error:
            continue
