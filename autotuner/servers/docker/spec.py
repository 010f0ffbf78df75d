"""Spec: what a trial's process hands to the one that owns a container; and what that one says of its end."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

LOST = 97
PID_FILE = "container.pid"  # in the rank's folder: the container's first process, as this node numbers it


@dataclass(frozen=True)
class Spec:
    """A container to run. ``mounts``: (source, target, mode). ``gpu_ids`` None: no GPUs are asked of docker."""

    name: str
    image: str
    argv: tuple[str, ...]
    env: dict[str, str]
    folder: str
    labels: dict[str, str]
    mounts: tuple[tuple[str, str, str], ...] = ()
    gpu_ids: tuple[str, ...] | None = None
    cpuset: str = ""
    shm_bytes: int | None = None
    memory_bytes: int | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Readable by this user alone."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(self), file)

    @classmethod
    def take(cls, path: Path) -> Spec:
        """Reads the spec and removes its file."""
        values = json.loads(path.read_text(encoding="utf-8"))
        path.unlink()
        values["argv"] = tuple(values["argv"])
        values["mounts"] = tuple(tuple(mount) for mount in values["mounts"])
        return cls(**values)
