"""CpuMeter: how long a trial's threads had a core, and wanted one, and what others did with the trial's cores.

Sources: sched-stats.rst (/proc/PID/task/TID/schedstat), proc_stat(5) and proc_pid_stat(5) of Linux.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from autotuner.servers.supervision.supervisor import descendants

_PROC = Path("/proc")
_IDLE = (3, 4)  # idle, iowait
_OF_GUESTS = 8  # from here on: time that is in user and nice already
_USER, _SYSTEM = 11, 12  # behind the name: ticks of the process, threads that have ended included
_NS = 1e-9


class CpuMeter:
    """Of this process and all below it: a trial's client and its servers.

    ``cores`` are those that the trial has, none: all that this process may run on. Counts begin at the first reading.
    A kernel that keeps no such statistics tells nothing.
    """

    def __init__(self, cores: Collection[int]) -> None:
        self._cores = frozenset(cores or os.sched_getaffinity(0))
        self._threads: dict[str, tuple[float, float]] = {}  # the last that is known of each, also of ended ones
        self._processes: dict[int, int] = {}
        self._tick_s = 1.0 / os.sysconf("SC_CLK_TCK")

    def read(self) -> Mapping[str, float] | None:
        try:
            busy = sum(_busy_ticks(self._cores))
            pids = [os.getpid(), *descendants(os.getpid())]
            self._processes |= dict(_own_ticks(pids))
            self._threads |= dict(_threads(pids))
        except (OSError, ValueError, IndexError):
            return {}
        ran_s = sum(ran for ran, _ in self._threads.values())
        waited_s = sum(waited for _, waited in self._threads.values())
        if not ran_s:
            return {}
        others_s = (busy - sum(self._processes.values())) * self._tick_s / len(self._cores)
        return {"cpu_run_s": ran_s, "cpu_wait_s": waited_s, "cpu_others_s": others_s}

    def close(self) -> None:
        """Nothing is held between two readings."""


def _threads(pids: list[int]) -> Iterator[tuple[str, tuple[float, float]]]:
    """Seconds that each thread ran and waited for a core."""
    for pid in pids:
        tasks = _PROC / str(pid) / "task"
        for tid in _entries(tasks):
            try:
                ran, waited, _ = (tasks / tid / "schedstat").read_text(encoding="ascii").split()
            except OSError:
                continue  # it ended meanwhile
            yield tid, (int(ran) * _NS, int(waited) * _NS)


def _own_ticks(pids: list[int]) -> Iterator[tuple[int, int]]:
    for pid in pids:
        try:
            fields = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            continue
        yield pid, int(fields[_USER]) + int(fields[_SYSTEM])


def _entries(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _busy_ticks(cores: frozenset[int]) -> Iterator[int]:
    """Of each of the cores, steal time included: a neighbour of this machine had it."""
    for line in (_PROC / "stat").read_text(encoding="ascii").splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cores:
            yield sum(int(ticks) for at, ticks in enumerate(fields[:_OF_GUESTS]) if at not in _IDLE)
