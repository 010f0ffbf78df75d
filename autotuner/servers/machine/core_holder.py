"""CoreHolder: who has leased a core of this machine, as its lock file tells while the lock is held."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

_MOST_BYTES = 4096


@dataclass(frozen=True)
class CoreHolder:
    """A trial that holds cores: of which study, in which output folder where its node sees that, by which process."""

    study: str
    trial_id: str
    folder: str = ""
    pid: int = 0

    def written(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def read(cls, text: bytes) -> CoreHolder | None:
        """``None`` for a text that is none of ours, or cut."""
        try:
            return cls(**json.loads(text))
        except (TypeError, ValueError):
            return None


def write_holder(descriptor: int, holder: CoreHolder | None) -> None:
    """Into a lock file that is held, in place of its last holder."""
    os.ftruncate(descriptor, 0)
    if holder is not None:
        os.pwrite(descriptor, holder.written(), 0)


def core_holders(folder: Path, cores: Iterable[int]) -> dict[CoreHolder | None, int]:
    """Who holds how many of the ``cores``, by the lock files in ``folder``; ``None``: it is not written."""
    found: dict[CoreHolder | None, int] = {}
    for core in cores:
        try:
            with (folder / f"{core}.lock").open("rb") as file:
                if not _is_held(file.fileno()):
                    continue
                holder = CoreHolder.read(file.read(_MOST_BYTES))
        except OSError:  # nobody has leased it yet
            continue
        found[holder] = found.get(holder, 0) + 1
    return found


def _is_held(descriptor: int) -> bool:
    """Tried by taking a share of the lock for a moment: whoever wants the core meanwhile tries again."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False
