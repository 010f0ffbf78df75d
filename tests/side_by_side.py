"""How tests are laid beside one another: which of them begin first, and which have the machine to themselves.

Most of the time a test of a whole study waits, for a server, for Ray, for a node to be missed; a test of one module
computes. So there are more workers (of pytest-xdist) than cores: one of them begins with the modules that compute, the
others with those that wait longest. The tests of a module stay on one worker, for the sake of what they share.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

_WAITING = ("tests/e2e/", "tests/integration/")
_COMPUTING = ("tests/contract/", "tests/property/", "tests/unit/")
_AN_ENDED_STUDY = ("tests/e2e/test_bad_input.py", "tests/e2e/test_cli_study.py")  # it is made once for all of these
ALONE = "alone"
_COMPUTES = "gw0"  # as xdist calls its first worker


def is_alone(item: pytest.Item) -> bool:
    return item.get_closest_marker(ALONE) is not None


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Tests as they are to begin: marked ``long``, then by folder, and those marked ``alone`` when all else is over."""
    folders = (*_WAITING, *_COMPUTING)

    def key(item: pytest.Item) -> tuple[bool, bool, int]:
        folder = next((n for n, name in enumerate(folders) if item.nodeid.startswith(name)), len(folders))
        return is_alone(item), item.get_closest_marker("long") is None, folder

    return sorted(items, key=key)


class LongOnesFirst(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no type stubs
    """Hands modules out in the order in which they were collected, but to one worker those first that compute."""

    def _split_scope(self, nodeid: str) -> str:
        if nodeid.endswith(f"@{ALONE}"):  # so xdist writes the group of a test
            return ALONE
        return "an ended study" if nodeid.startswith(_AN_ENDED_STUDY) else nodeid.partition("::")[0]

    def _assign_work_unit(self, node: Any) -> None:
        if node.gateway.id == _COMPUTES:
            found = next((scope for scope in self.workqueue if scope.startswith(_COMPUTING)), None)
            if found is not None:
                self.workqueue.move_to_end(found, last=False)
        super()._assign_work_unit(node)

    def _reschedule(self, node: Any) -> None:
        """Sets nothing aside for a worker that has two tests yet: another may be idle before it is."""
        if node.shutting_down or not self.workqueue or self._pending_of(self.assigned_work[node]) <= 1:
            super()._reschedule(node)


class Room:
    """What tests of several workers are in at a time: any number of them, or one that is alone.

    Who waits to be alone keeps others from coming in, so that it gets its turn.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def entered(self, *, alone: bool) -> Iterator[None]:
        with self._locked("door", fcntl.LOCK_EX) as door, self._locked("room", _kind(alone)):
            fcntl.flock(door, fcntl.LOCK_UN)
            yield

    @contextmanager
    def _locked(self, name: str, kind: int) -> Iterator[int]:
        descriptor = os.open(self._folder / f"{name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, kind)
            yield descriptor
        finally:
            os.close(descriptor)


def _kind(alone: bool) -> int:
    return fcntl.LOCK_EX if alone else fcntl.LOCK_SH
