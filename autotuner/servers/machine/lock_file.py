"""Locks that live as long as any process holds the descriptor: flock(2) on a file in a folder of the user's."""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
from pathlib import Path

from autotuner.errors import InfrastructureError


def lock_folder(kind: str, below: Path | None = None) -> Path:
    """The folder of this user's lock files of one ``kind``, made when it is not there; no other user looks into it.

    It lies ``below`` the temporary folder, or another. Raises InfrastructureError when someone else made it first:
    their locks would say nothing.
    """
    root = (below or Path(tempfile.gettempdir())) / f"autotuner-{os.getuid()}"
    for folder in (root, root / kind):
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise InfrastructureError(f"{folder} belongs to someone else; set TMPDIR to a folder of your own")
    return root / kind


def try_lock(path: Path) -> int | None:
    """The descriptor of ``path``, locked, or ``None`` when another holds it. Closing it gives the lock back.

    A child that inherits the descriptor holds the same lock: it is free when the last copy is closed. For
    that, never unlock it by LOCK_UN, which would free it for all of them.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
