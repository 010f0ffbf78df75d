"""Answers of executables, kept in files so that each is asked once a node."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from autotuner.servers.machine.user_cache import user_cache

_KEPT_S = 86_400.0  # what a script starts may change and the script not
_SILENCE_KEPT_S = 600.0  # of no answer: the next may come

_ABSENT = object()

Answer = Mapping[str, Any]  # has the key version


def cached_answer(key: Mapping[str, Any], ask: Callable[[], Answer | None]) -> Answer | None:
    """What ``ask`` says, or said for the same ``key`` (JSON values) within a day; no answer is kept as well.

    Several processes that want the same at once wait for the first. Where no file can be written it is asked anew.
    """
    try:
        folder = _folder()
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return ask()
    path = folder / (hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32] + ".json")
    with _locked(path.with_suffix(".lock")):
        kept = _read(path)
        if kept is None:
            kept = {"answer": ask()}
            _write(path, {**kept, "key": key})
    answer: Answer | None = kept["answer"]
    return answer


def _folder() -> Path:
    return user_cache() / "engine-versions"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a lock, or nothing where the file system has none: at worst two then ask."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            file = held.enter_context(path.open("a"))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _read(path: Path) -> dict[str, Any] | None:
    try:
        age_s = time.time() - path.stat().st_mtime
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    answer = kept.get("answer", _ABSENT) if isinstance(kept, dict) else _ABSENT
    if not (answer is None or (isinstance(answer, dict) and "version" in answer)):
        return None
    return kept if 0 <= age_s < (_SILENCE_KEPT_S if answer is None else _KEPT_S) else None


def _write(path: Path, content: Mapping[str, Any]) -> None:
    """Whole or not at all: under another name first, then renamed."""
    with contextlib.suppress(OSError):
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(content, file)
            os.replace(temporary, path)
        except OSError:
            os.unlink(temporary)
            raise
