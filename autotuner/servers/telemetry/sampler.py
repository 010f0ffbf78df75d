"""Sampler: asks a meter again and again, from a thread that nothing waits for."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

EVERY_S = 0.5
_LAST_S = 1.5  # how long the last reading is waited for


class Meter(Protocol):
    def read(self) -> Mapping[str, float] | None:
        """Fields of TelemetrySample, those that are told; ``None`` for an attempt that failed. Raises nothing."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Reading:
    """``monotonic_s`` is when the answer was there."""

    monotonic_s: float
    values: Mapping[str, float]


class Sampler:
    """Reads at once, then every ``every_s`` seconds, and once more at the end.

    The thread is a daemon: a meter that hangs keeps neither a measurement nor the process from ending.
    """

    def __init__(self, meter: Meter, every_s: float = EVERY_S) -> None:
        self._meter = meter
        self._every_s = every_s
        self._ended = threading.Event()
        self._readings: list[Reading] = []
        self._missed = 0
        self._thread = threading.Thread(target=self._run, name="telemetry", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Asks for the last reading. Returns at once."""
        self._ended.set()

    def result(self) -> tuple[list[Reading], int]:
        """The readings in order, and how many attempts failed; waits a moment for the last one."""
        self._thread.join(_LAST_S)
        late = self._thread.is_alive()
        return list(self._readings), self._missed + late

    def _run(self) -> None:
        due_s = time.monotonic()
        is_last = False
        while not is_last:
            is_last = self._ended.is_set()
            self._ask()
            now_s = time.monotonic()
            due_s = max(due_s + self._every_s, now_s)
            if not is_last:
                self._ended.wait(due_s - now_s)

    def _ask(self) -> None:
        values = self._meter.read()
        if values is None:
            self._missed += 1
        elif values:
            self._readings.append(Reading(time.monotonic(), values))
