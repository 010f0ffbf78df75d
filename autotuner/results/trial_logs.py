"""The server logs of a trial in the output folder: one file a rank of a launch."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r".+-l(?P<launch>\d+)-(?:rank(?P<rank>\d+)|.+)")


@dataclass(frozen=True)
class TrialLog:
    """``launch`` counts from 1, ``rank`` from 0; ``rank`` is ``None`` for what a node's supervisor says."""

    path: Path
    launch: int
    rank: int | None


def trial_logs(folder: Path, *, launch: int | None = None, rank: int | None = None) -> list[TrialLog]:
    """The logs under ``folder``, by launch and rank; of one launch or rank alone where that is given.

    Supervisors, who speak only when something goes wrong, come last in their launch; empty ones are left out.
    """
    found = [log for path in folder.glob("*.log") if (log := _log(path)) is not None]
    wanted = [
        log
        for log in found
        if launch in (None, log.launch) and rank in (None, log.rank) and (log.rank is not None or _size(log.path))
    ]
    return sorted(wanted, key=lambda log: (log.launch, log.rank is None, log.rank or 0, log.path.name))


def last_written_at(folder: Path) -> float | None:
    """When a log under ``folder`` was last written, in epoch seconds; ``None`` without one."""
    return max((found.st_mtime for path in folder.glob("*.log") if (found := _stat(path))), default=None)


def _log(path: Path) -> TrialLog | None:
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    return TrialLog(path, int(match["launch"]), None if match["rank"] is None else int(match["rank"]))


def _size(path: Path) -> int:
    found = _stat(path)
    return found.st_size if found else 0


def _stat(path: Path) -> os.stat_result | None:
    """``None`` for a log that was taken away meanwhile."""
    try:
        return path.stat()
    except OSError:
        return None
