"""CoreLease: cores of this machine that one trial has to itself, so that no measurement disturbs another."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from autotuner.errors import CapacityError
from autotuner.servers.machine.core_holder import CoreHolder, core_holders, write_holder
from autotuner.servers.machine.lock_file import lock_folder, try_lock

_POLL_S = 0.05
_TOLD_AFTER_S = 2.0  # a trial that is about to end gives its cores back sooner
_LOOKS_EVERY_S = 2.0

Tell = Callable[[Mapping[CoreHolder | None, int]], None]


class CoreLease:
    """A context manager that holds ``count`` cores, by a lock file each.

    Entering waits up to ``timeout_s`` seconds and raises CapacityError after that, or at once when
    this process may not run on so many cores. Who waits first is served first: others queue behind a gate,
    so that a lease of many cores is not starved by small ones. Locks are per user and machine, and cover
    every study of the user's.

    While it waits for longer than a moment it says who holds the cores, and again whenever that changes.

    ``fds`` are the locks themselves, in the order of ``cores``: whoever inherits them holds the cores until it ends.
    """

    def __init__(
        self,
        count: int,
        *,
        timeout_s: float,
        allowed: Iterable[int] | None = None,
        holder: CoreHolder | None = None,
        tell: Tell | None = None,
    ) -> None:
        """``allowed`` are the cores to choose from, by default those this process may run on. ``holder`` is what others
        read of this lease, ``tell`` is called with how many cores each of them holds."""
        self._count = count
        self._timeout_s = timeout_s
        self._holder = holder
        self._tell = tell
        self._told: Mapping[CoreHolder | None, int] = {}
        self._allowed = sorted(os.sched_getaffinity(0) if allowed is None else allowed)
        self._held: dict[int, int] = {}  # core → descriptor

    @property
    def cores(self) -> tuple[int, ...]:
        return tuple(self._held)

    @property
    def fds(self) -> tuple[int, ...]:
        return tuple(self._held.values())

    def __enter__(self) -> Self:
        if self._count > len(self._allowed):
            raise CapacityError(
                f"a trial needs {self._count} CPU cores at a time, its servers' and its load driver's; "
                f"this machine gives {len(self._allowed)}"
            )
        folder = lock_folder("cores")
        began = time.monotonic()
        self._deadline, self._looks_at = began + self._timeout_s, began + _TOLD_AFTER_S
        gate = self._wait_for_gate(folder)
        try:
            while not self._take_all(folder):
                self._sleep_until_retry(folder)
        finally:
            os.close(gate)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the cores back, unless a process that inherited ``fds`` still runs. Idempotent."""
        while self._held:
            os.close(self._held.popitem()[1])

    def _take_all(self, folder: Path) -> bool:
        """All or nothing: a part held while waiting could keep two leases from ever ending."""
        for core in self._allowed:
            if len(self._held) == self._count:
                break
            descriptor = try_lock(folder / f"{core}.lock")
            if descriptor is not None:
                self._held[core] = descriptor
        if len(self._held) < self._count:
            self.close()
            return False
        for descriptor in self._held.values():
            write_holder(descriptor, self._holder)
        return True

    def _wait_for_gate(self, folder: Path) -> int:
        while (descriptor := try_lock(folder / "gate.lock")) is None:
            self._sleep_until_retry(folder)
        return descriptor

    def _sleep_until_retry(self, folder: Path) -> None:
        now = time.monotonic()
        if now > self._deadline:
            raise CapacityError(f"no {self._count} CPU cores got free within {self._timeout_s:g} s")
        if self._tell is not None and now >= self._looks_at:
            self._looks_at = now + _LOOKS_EVERY_S
            self._tell_of(core_holders(folder, self._allowed), self._tell)
        time.sleep(_POLL_S)

    def _tell_of(self, holders: Mapping[CoreHolder | None, int], tell: Tell) -> None:
        if holders and holders != self._told:
            self._told = holders
            tell(holders)
