"""The end of log files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

TAIL_BYTES = 16384


def tail_of(logs: Sequence[Path], max_bytes: int = TAIL_BYTES) -> str:
    """The last ``max_bytes`` of the logs together, an equal share each; headed by name where there are several."""
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
            return file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return ""
