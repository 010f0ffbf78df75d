"""Whether a study's driver lives, told by the lock on its output folder."""

from __future__ import annotations

import fcntl
from dataclasses import dataclass
from enum import StrEnum

from autotuner.results.folder import OutputFolder
from autotuner.servers.supervision.tags import Owner


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
    held = _is_held(descriptor)
    if held:  # by a process here, in a container, or anywhere on a shared file system
        return DriverState.ALIVE
    if owner is None or not owner.is_here:
        return DriverState.UNKNOWN
    return DriverState.ALIVE if held is None and owner.is_alive else DriverState.DEAD


def _is_held(descriptor: int) -> bool | None:
    """Whether another holds the lock, tried by taking a share of it for a moment; ``None``: there are no locks here."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False
