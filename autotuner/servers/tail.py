"""The end of log files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

TAIL_BYTES = 16384  # what is kept with a failure
# What is read to explain one: with many ranks the cause lies far before the end.
DIAGNOSED_BYTES = 2 * 1024 * 1024


def tail_of(logs: Sequence[Path], max_bytes: int = TAIL_BYTES) -> str:
    """The last ``max_bytes`` of the logs together, an equal share each; headed by name where there are several.

    A share begins with a whole line, where it has one: half a line has lost who said it.
    """
    share = max_bytes // max(1, len(logs))
    parts = []
    for log in logs:
        text = _tail(log, share)
        if text:
            parts.append(f"== {log.name} ==\n{text}" if len(logs) > 1 else text)
    return "\n".join(parts)


def _tail(log: Path, max_bytes: int) -> str:
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - max_bytes))
            text = file.read()
    except FileNotFoundError:
        return ""
    if size > max_bytes:
        text = text.partition(b"\n")[2] or text
    return text.decode("utf-8", errors="replace")
