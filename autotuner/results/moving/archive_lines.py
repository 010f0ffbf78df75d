"""An archive as lines of text between other lines: what a Ray job can hand out through its log, and back."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from autotuner.errors import InfrastructureError

_MARK = "autotuner-archive"
_LINE = re.compile(_MARK + r" (?P<kind>begin|end|\d+) (?P<content>.*)")
_BYTES = 11_400  # a line: 15,200 characters; Ray hands logs out in pieces of 20,000
_KEPT_LINES = 20


def archive_lines(archive: BinaryIO, about: Mapping[str, Any]) -> Iterator[str]:
    """``about`` (JSON values) and the size, the content in numbered lines of base64, and its SHA-256."""
    size = archive.seek(0, os.SEEK_END)
    archive.seek(0)
    yield f"{_MARK} begin {json.dumps({**about, 'size_bytes': size})}\n"
    digest = hashlib.sha256()
    number = 0
    while data := archive.read(_BYTES):
        digest.update(data)
        yield f"{_MARK} {number} {base64.b64encode(data).decode('ascii')}\n"
        number += 1
    yield f"{_MARK} end {json.dumps({'lines': number, 'sha256': digest.hexdigest()})}\n"


class ArchiveReceiver:
    """Takes the text of ``archive_lines`` in pieces of any length and writes the content to ``target``.

    Lines that came before are passed over, so that the text may begin anew after a broken connection (``restart``).
    ``about`` is ``None`` until the archive begins; ``said`` are the last of the other lines.
    """

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self._digest = hashlib.sha256()
        self._rest = ""
        self._next = 0
        self.about: Mapping[str, Any] | None = None
        self.received_bytes = 0
        self.is_complete = False
        self.said: list[str] = []

    def restart(self) -> None:
        self._rest = ""

    def feed(self, text: str) -> None:
        """Raises InfrastructureError when lines are missing or the content is not what was sent."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            found = _LINE.fullmatch(line)
            if found is None:
                self.said = [*self.said, line][-_KEPT_LINES:] if line.strip() else self.said
            elif not self.is_complete:
                self._take(found["kind"], found["content"])

    def _take(self, kind: str, content: str) -> None:
        try:
            match kind:
                case "begin":
                    self.about = json.loads(content)
                case "end":
                    self._end(**json.loads(content))
                case _:
                    self._add(int(kind), content)
        except (ValueError, TypeError, binascii.Error) as error:
            raise InfrastructureError(f"the archive came spoiled: {error}") from error

    def _add(self, number: int, content: str) -> None:
        if number < self._next:
            return
        if number > self._next:
            raise ValueError(f"line {self._next} is missing")
        data = base64.b64decode(content, validate=True)
        self._target.write(data)
        self._digest.update(data)
        self._next += 1
        self.received_bytes += len(data)

    def _end(self, lines: int, sha256: str) -> None:
        if lines != self._next or sha256 != self._digest.hexdigest():
            raise ValueError("its checksum is not that of what was sent")
        self._target.flush()
        self.is_complete = True
