"""LogShipper: server logs of a node that does not see the study's folder, sent there while they grow."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from autotuner.tuning.trial.trial_store import TrialStore

_log = logging.getLogger(__name__)

_EVERY_S = 1.0
_CHUNK_BYTES = 256 * 1024
_CHUNKS_A_ROUND = 16  # of one file: the store has other trials to serve
_LAST_TRIES = 3
_LAST_S = 60.0  # for what is left when the servers have ended


@dataclass
class _Log:
    """A log that is being sent. Held open, so that a file that takes its name can't have its inode."""

    file: BinaryIO
    sent: int = 0  # bytes that the store has


class LogShipper:
    """Sends what is appended to the ``*.log`` files of ``log_dir`` to ``store`` about once a second, the rest at exit.

    Each piece says where in its file it belongs, and counts as sent once the store has confirmed it: what failed half
    way is sent again over the same place. A file that was written anew under its name replaces what was sent of the
    old one. A store that fails is tried again; at the end, or ``last_s`` seconds after it, a warning says what it
    lacks, for a trial is not to be lost with its logs, nor held up by them.
    """

    def __init__(
        self,
        store: TrialStore,
        trial_id: str,
        log_dir: Path,
        *,
        every_s: float = _EVERY_S,
        last_s: float = _LAST_S,
    ) -> None:
        self._store = store
        self._trial_id = trial_id
        self._log_dir = log_dir
        self._every_s = every_s
        self._last_s = last_s
        self._ends_at = math.inf
        self._logs: dict[str, _Log] = {}
        self._is_failing = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"logs of {trial_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        while self._logs:
            self._logs.popitem()[1].file.close()

    def _work(self) -> None:
        while not self._ended.wait(self._every_s):
            self._ship(_CHUNKS_A_ROUND)
        self._ends_at = time.monotonic() + self._last_s
        for _ in range(_LAST_TRIES):
            if self._ship(None):
                return
        _log.warning("trial %s: the end of its server logs was lost with this node", self._trial_id)

    def _ship(self, chunks: int | None) -> bool:
        """Sends what is new, of each file at most ``chunks`` pieces; whether the store took all that was offered."""
        try:
            for path in sorted(self._log_dir.glob("*.log")):
                with contextlib.suppress(FileNotFoundError):  # taken away meanwhile
                    self._send(path, chunks)
        except OSError as error:
            if not self._is_failing:
                _log.warning("trial %s: its server logs can't be sent for now: %s", self._trial_id, error)
            self._is_failing = True
            return False
        self._is_failing = False
        return True

    def _send(self, path: Path, chunks: int | None) -> None:
        log = self._open(path)
        while chunks is None or chunks > 0:
            if time.monotonic() > self._ends_at:
                raise OSError("the store is too slow")
            log.file.seek(log.sent)
            data = log.file.read(_CHUNK_BYTES)
            if not data:
                return
            held = self._store.append_log(self._trial_id, path.name, log.sent, data)
            if held <= log.sent:
                log.sent = held
                raise OSError(f"the study's folder has only {held} bytes of {path.name}")
            log.sent = held
            chunks = None if chunks is None else chunks - 1

    def _open(self, path: Path) -> _Log:
        """The open log of this name; anew where another file has the name now, or where it was cut."""
        known = self._logs.get(path.name)
        found = path.stat()
        if known is not None:
            held = os.fstat(known.file.fileno())
            if (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino):
                if found.st_size < known.sent:
                    known.sent = 0
                return known
            known.file.close()
        self._logs[path.name] = _Log(path.open("rb", buffering=0))
        return self._logs[path.name]
