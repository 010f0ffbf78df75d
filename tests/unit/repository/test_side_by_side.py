"""How the tests themselves are run: who is alone is, and what only spins ends with what it spins beside."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from tests.side_by_side import Room

BESIDE = Path(__file__).parents[3] / "scripts" / "beside_spinning.py"
WAIT_S = 60.0


class Guest:
    """In a room, or waiting for it, as a test of another worker is."""

    def __init__(self, room: Room, *, alone: bool) -> None:
        self.is_in, self._leave = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._stay, args=[room, alone])
        self._thread.start()

    def _stay(self, room: Room, alone: bool) -> None:
        with room.entered(alone=alone):
            self.is_in.set()
            self._leave.wait()

    def leave(self) -> None:
        self._leave.set()
        self._thread.join()


@pytest.fixture
def enter(tmp_path: Path) -> Iterator[Callable[..., Guest]]:
    guests: list[Guest] = []

    def come(*, alone: bool) -> Guest:
        guests.append(Guest(Room(tmp_path), alone=alone))
        return guests[-1]

    yield come
    for guest in guests:
        guest.leave()


def test_any_number_are_in_beside_one_another(enter: Callable[..., Guest]) -> None:
    guests = [enter(alone=False) for _ in range(3)]
    assert all(guest.is_in.wait(WAIT_S) for guest in guests)


@pytest.mark.parametrize(("first", "second"), [(True, False), (True, True), (False, True)])
def test_who_is_alone_is_beside_nobody(enter: Callable[..., Guest], first: bool, second: bool) -> None:
    there = enter(alone=first)
    assert there.is_in.wait(WAIT_S)
    comes = enter(alone=second)
    assert not comes.is_in.wait(0.1)
    there.leave()
    assert comes.is_in.wait(WAIT_S)


def test_who_waits_to_be_alone_comes_before_those_after(enter: Callable[..., Guest]) -> None:
    there = enter(alone=False)
    assert there.is_in.wait(WAIT_S)
    waits = enter(alone=True)
    assert not waits.is_in.wait(0.1)
    later = enter(alone=False)
    assert not later.is_in.wait(0.1)
    there.leave()
    assert waits.is_in.wait(WAIT_S)
    assert not later.is_in.is_set()
    waits.leave()
    assert later.is_in.wait(WAIT_S)


def spinning_beside(*command: str) -> tuple[subprocess.Popen[str], list[psutil.Process]]:
    """A command that says when it is up, and those that spin beside it."""
    code = f"print('up', flush=True); {command[0]}"
    beside = [sys.executable, str(BESIDE), sys.executable, "-c", code]
    process = subprocess.Popen(beside, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    children = psutil.Process(process.pid).children()
    return process, [child for child in children if "-S" in child.cmdline()]


def test_two_spin_until_the_command_ends_whose_exit_code_is_told() -> None:
    process, spinners = spinning_beside("import sys; sys.stdin.read(); sys.exit(5)")
    assert len(spinners) == 2
    process.communicate()
    assert process.returncode == 5
    assert not any(spinner.is_running() for spinner in spinners)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_none_spins_on_after_a_signal(number: signal.Signals) -> None:
    process, spinners = spinning_beside("import sys; sys.stdin.read()")
    process.send_signal(number)
    process.communicate()
    _, left = psutil.wait_procs(spinners, timeout=WAIT_S)
    assert left == []
