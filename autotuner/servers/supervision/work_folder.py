"""Folders for what lives no longer than a process of ours: each says whose it is, for the reaper."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from autotuner.servers.supervision.tags import HOLDER, owner_tag

_PREFIX = "autotuner-"
_OWNER_FILE = ".owner.json"


@contextmanager
def work_folder(tags: Mapping[str, str] = MappingProxyType({})) -> Iterator[Path]:
    """An empty folder in the temporary folder, which goes with the context; ``tags``: of the study that it is for.

    What a container has written there may be root's alone to remove: it stays, and is nobody's.
    """
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / _OWNER_FILE).write_text(json.dumps({**tags, HOLDER: owner_tag()}), encoding="utf-8")
        yield folder


def work_folders() -> Iterator[tuple[Path, Mapping[str, str]]]:
    """This user's work folders in the temporary folder, and the tags of each."""
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{_PREFIX}*")):
        with contextlib.suppress(OSError, ValueError):  # it has gone meanwhile, or is something else
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            tags = json.loads((folder / _OWNER_FILE).read_text(encoding="utf-8"))
            if isinstance(tags, dict):
                yield folder, {str(name): str(value) for name, value in tags.items()}


def remove_work_folder(folder: Path) -> bool:
    """Whether all of it is gone."""
    shutil.rmtree(folder, ignore_errors=True)
    return not folder.exists()
