"""Whether a study's driver lives, told by the lock on its output folder."""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from enum import StrEnum

from autotuner.results.folder import OutputFolder
from autotuner.servers.tags import Owner


class DriverState(StrEnum):
    """What can be said from here."""

    ALIVE = "alive"
    DEAD = "dead"  # or never begun
    UNKNOWN = "unknown"  # it ran on another host, whose processes can't be seen from here


@dataclass(frozen=True)
class Driver:
    """``since`` is the epoch second at which it took the folder; ``None``, as ``owner``, where that is not written."""

    state: DriverState
    owner: Owner | None = None
    since: float | None = None


def find_driver(folder: OutputFolder) -> Driver:
    """The last driver of ``folder``. Looks, and leaves everything as it is."""
    try:
        with folder.lock_file.open("rb") as file:
            owner = Owner.parse(file.read(400).decode(errors="replace").strip())
            since = folder.lock_file.stat().st_mtime
            return Driver(_state(owner, file.fileno()), owner, since)
    except OSError:  # no lock file: nobody has begun
        return Driver(DriverState.DEAD)


def _state(owner: Owner | None, descriptor: int) -> DriverState:
    if owner is not None and owner.is_here and owner.is_alive:
        return DriverState.ALIVE
    if _is_held(descriptor):  # seen through a container's process ids, a shared file system, or just being written
        return DriverState.ALIVE
    return DriverState.DEAD if owner is not None and owner.is_here else DriverState.UNKNOWN


def _is_held(descriptor: int) -> bool:
    """Whether another process holds the lock; tried by taking a share of it, given back at once."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False
