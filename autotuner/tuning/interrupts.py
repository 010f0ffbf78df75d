"""SIGTERM ends a study as SIGINT does, and it is remembered which one it was."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """``exit_code`` is 128 + the first signal's number, ``None`` while none came."""

    def __init__(self) -> None:
        self.exit_code: int | None = None

    def note(self, number: int) -> None:
        if self.exit_code is None:
            self.exit_code = 128 + number


@contextmanager
def watch_interrupts() -> Iterator[Interrupts]:
    """Turns SIGTERM into what Ray Tune understands (SIGINT), once; does nothing off the main thread."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return

    def on_sigterm(number: int, frame: FrameType | None) -> None:
        interrupts.note(number)
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGTERM, on_sigterm)
    try:
        yield interrupts
    except KeyboardInterrupt:
        interrupts.note(signal.SIGINT)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
