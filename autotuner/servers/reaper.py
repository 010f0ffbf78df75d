"""The reaper: ends what dead studies left behind, and nothing else.

A leftover is a process of this user, or a container, that carries AUTOTUNER_STUDY in its environment or labels, or a
work folder; its owner, the study's driver, or holder, the process on this node that made it, was on this host and is
dead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from autotuner.errors import InfrastructureError
from autotuner.servers.docker import client
from autotuner.servers.docker.labels import STUDY_LABEL, TRIAL_LABEL, is_orphaned
from autotuner.servers.supervision.tags import HOLDER, OWNER, STUDY, TRIAL, Owner, processes_with
from autotuner.servers.supervision.work_folder import remove_work_folder, work_folders

GRACE_S = 5.0


@dataclass(frozen=True)
class Leftover:
    """A process, a container or a work folder (``pid`` 0) of a dead study; ``study`` is ``""`` where it is for none.

    ``command`` is its argv, for people to read.
    """

    pid: int
    study: str
    trial: str
    command: str
    container: str = ""  # its name
    folder: str = ""  # its path


def find_leftovers(study: str | None = None) -> list[Leftover]:
    """What ``reap`` would end now, of one study id or of all."""
    return [*(left for _, left in _find(study)), *(left for _, left in _orphans(study)), *_folders(study)]


def reap(study: str | None = None, *, grace_s: float = GRACE_S) -> list[Leftover]:
    """Ends every leftover, by SIGTERM and after ``grace_s`` seconds by SIGKILL; returns what it ended.

    Folders go last: nothing writes there any more.
    """
    found = _find(study)
    processes = [process for process, _ in found]
    _signal(processes, kill=False)
    _, alive = psutil.wait_procs(processes, timeout=grace_s)
    _signal(alive, kill=True)
    _, stuck = psutil.wait_procs(alive, timeout=grace_s)
    ended = [left for process, left in found if process not in stuck]
    containers = _remove_containers(study)
    return [*ended, *containers, *(left for left in _folders(study) if remove_work_folder(Path(left.folder)))]


def _find(study: str | None) -> list[tuple[psutil.Process, Leftover]]:
    processes = processes_with(STUDY, study)
    return [(process, left) for process in processes if (left := _as_leftover(process)) is not None]


def _folders(study: str | None) -> list[Leftover]:
    return [
        Leftover(0, tags.get(STUDY, ""), tags.get(TRIAL, ""), "", folder=str(folder))
        for folder, tags in work_folders()
        if study in (None, tags.get(STUDY)) and _is_dead(tags)
    ]


def _is_dead(tags: Mapping[str, str]) -> bool:
    return any(Owner.is_dead_here(tags.get(tag, "")) for tag in (OWNER, HOLDER))


def _as_leftover(process: psutil.Process) -> Leftover | None:
    try:
        environment = process.environ()
        command = " ".join(process.cmdline())
    except psutil.Error:
        return None  # it ended meanwhile
    if not _is_dead(environment):
        return None
    return Leftover(process.pid, environment[STUDY], environment.get(TRIAL, ""), command)


def _orphans(study: str | None) -> list[tuple[str, Leftover]]:
    """Ids of containers that dead studies left; none where no daemon answers."""
    if not client.may_be_here():
        return []
    try:
        found = client.our_containers()
    except InfrastructureError:
        return []
    return [
        (one.id, Leftover(0, one.labels[STUDY_LABEL], one.labels.get(TRIAL_LABEL, ""), one.command, one.name))
        for one in found
        if study in (None, one.labels[STUDY_LABEL]) and is_orphaned(one.labels)
    ]


def _remove_containers(study: str | None) -> list[Leftover]:
    removed = []
    for container_id, left in _orphans(study):
        with contextlib.suppress(InfrastructureError):
            client.remove(container_id)
            removed.append(left)
    return removed


def _signal(processes: Sequence[psutil.Process], *, kill: bool) -> None:
    for process in processes:
        try:
            # psutil compares start times first: a pid that was given to another process is left alone.
            process.kill() if kill else process.terminate()
        except psutil.Error:
            continue
