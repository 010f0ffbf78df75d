"""The client's own lag: how late its event loop runs what is due."""

from __future__ import annotations

import asyncio
import time

_PERIOD_S = 0.01


class LagMonitor:
    """Samples the loop's lag while the context is open."""

    def __init__(self) -> None:
        self._lags_s: list[float] = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> LagMonitor:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        while True:
            due = time.monotonic() + _PERIOD_S
            await asyncio.sleep(_PERIOD_S)
            self._lags_s.append(max(0.0, time.monotonic() - due))

    @property
    def p99_ms(self) -> float:
        ordered = sorted(self._lags_s)
        return 1000.0 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))] if ordered else 0.0
