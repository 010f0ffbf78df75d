"""LogReader: reads the logs of a trial as far as they are, and later what was added."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from autotuner.results.trial_logs import TrialLog, trial_logs

_PIECE_BYTES = 256 * 1024


@dataclass(frozen=True)
class LogPiece:
    """A run of whole bytes of one log. ``begins``: they are the first of it, or of what was written anew there."""

    log: TrialLog
    data: bytes
    begins: bool


class LogReader:
    """Of one launch or rank alone where that is given. Files stay open, so that a new one under an old name is seen."""

    def __init__(self, folder: Path, *, launch: int | None = None, rank: int | None = None) -> None:
        self._folder = folder
        self._launch = launch
        self._rank = rank
        self._open: dict[str, BinaryIO] = {}

    def read(self) -> Iterator[LogPiece]:
        """What is there and was not read yet, launch by launch, rank by rank."""
        for log in trial_logs(self._folder, launch=self._launch, rank=self._rank):
            with suppress(FileNotFoundError):  # taken away meanwhile
                yield from self._read(log)

    def _read(self, log: TrialLog) -> Iterator[LogPiece]:
        file = self._file(log.path)
        while True:
            begins = file.tell() == 0
            data = file.read(_PIECE_BYTES)
            if not data:
                return
            yield LogPiece(log, data, begins)

    def _file(self, path: Path) -> BinaryIO:
        known = self._open.get(path.name)
        if known is not None:
            held, found = os.fstat(known.fileno()), path.stat()
            if (held.st_dev, held.st_ino) == (found.st_dev, found.st_ino):
                if found.st_size < known.tell():
                    known.seek(0)
                return known
            known.close()
        self._open[path.name] = path.open("rb", buffering=0)
        return self._open[path.name]
