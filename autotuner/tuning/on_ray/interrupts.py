"""SIGTERM ends a study as SIGINT does, and it is remembered which one it was."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def sigint_heard() -> Iterator[None]:
    """SIGINT interrupts this process, though it may have begun with SIGINT ignored, as a background job of a shell
    without job control does. Does nothing off the main thread."""
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


class Interrupts:
    """``exit_code`` is 128 + the first signal's number, ``None`` while none came."""

    def __init__(self) -> None:
        self.exit_code: int | None = None

    def note(self, number: int) -> None:
        if self.exit_code is None:
            self.exit_code = 128 + number

    def heed(self) -> None:
        """Interrupts once more when one was noted: Ray's own calls may have swallowed the first."""
        if self.exit_code is not None:
            signal.raise_signal(signal.SIGINT)

    @contextmanager
    def take_exit(self) -> Iterator[None]:
        """Takes Ray's own answer to SIGTERM, an exit with its number, for an interrupt: it comes while Ray starts."""
        try:
            yield
        except SystemExit as ending:
            if ending.code != signal.SIGTERM:
                raise
            self.note(signal.SIGTERM)
            raise KeyboardInterrupt from None

    @contextmanager
    def hear(self) -> Iterator[None]:
        """Notes SIGINT, and interrupts; does nothing off the main thread.

        To be entered before ``ray.init()``, which may swallow the interrupt.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._on_sigint)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _on_sigint(self, number: int, frame: FrameType | None) -> None:
        self.note(number)
        signal.default_int_handler(number, frame)

    @contextmanager
    def watch(self, *, at_once: bool = False) -> Iterator[None]:
        """Turns SIGTERM into what Ray Tune understands (SIGINT); does nothing off the main thread.

        Ray Tune waits some seconds for its trials; ``at_once`` SIGTERM is not for it to hear, and interrupts this
        thread. To be entered after ``ray.init()``, which sets a handler of its own that exits at once.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_sigterm(number: int, _: FrameType | None) -> None:
            self.note(number)
            if at_once:
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)

        before = signal.signal(signal.SIGINT, self._on_sigint), signal.signal(signal.SIGTERM, on_sigterm)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])
