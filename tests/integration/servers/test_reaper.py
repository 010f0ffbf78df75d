"""The reaper ends what dead drivers left, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from autotuner.servers import Owner, find_leftovers, owner_tag, reap, tags
from autotuner.servers.supervision.tags import HOLDER

pytestmark = pytest.mark.alone  # any study that begins ends what the dead have left, on all of the machine


@pytest.fixture
def dead_owner() -> str:
    """The tag of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    tag = owner_tag(process.pid)
    process.communicate()
    return tag


class Sleepers:
    """Starts sleeping processes with given tags, and ends them in the end."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(["sleep", "300"], env={**os.environ, **environment})
        self.processes.append(process)
        return process


@pytest.fixture
def sleepers() -> Iterator[Sleepers]:
    found = Sleepers()
    yield found
    for process in found.processes:
        process.kill()
        process.wait()


def test_only_processes_of_dead_drivers_are_ended(mark: str, dead_owner: str, sleepers: Sleepers) -> None:
    left = sleepers.start(tags(mark, "0003", dead_owner))
    owned = sleepers.start(tags(mark, "0004", owner_tag()))
    elsewhere = sleepers.start(tags(mark, "0005", f"other-host:{os.getpid()}:1"))
    unowned = sleepers.start({"AUTOTUNER_STUDY": mark})
    other_study = sleepers.start(tags(mark + "-other", "0000", dead_owner))

    found = find_leftovers(mark)
    assert [(leftover.pid, leftover.study, leftover.trial) for leftover in found] == [(left.pid, mark, "0003")]
    assert reap(mark) == found
    assert not psutil.pid_exists(left.pid)
    assert all(process.poll() is None for process in (owned, elsewhere, unowned, other_study))
    assert find_leftovers(mark) == []


def test_a_pid_that_another_process_got_is_no_living_owner(mark: str, sleepers: Sleepers) -> None:
    me = Owner.parse(owner_tag())
    assert me is not None
    assert me.is_here
    assert me.is_alive
    assert not Owner(me.host, me.pid, me.start - 1).is_alive
    left = sleepers.start(tags(mark, "0000", str(Owner(me.host, me.pid, me.start - 1))))
    assert [leftover.pid for leftover in reap(mark)] == [left.pid]


def test_nothing_is_known_of_an_owner_in_another_pid_namespace(mark: str, sleepers: Sleepers) -> None:
    """A container with its host's network has the host's name, and pids of its own."""
    me = Owner.parse(owner_tag())
    assert me is not None
    inside = replace(me, start=me.start - 1, namespace=me.namespace + 1)
    assert Owner.parse(str(inside)) == inside
    assert not inside.is_here
    sleepers.start({**tags(mark, "0000", str(inside)), HOLDER: str(inside)})
    assert find_leftovers(mark) == []


@pytest.mark.parametrize("text", ["", "host", "host:1", "host:x:1", ":1:2", "host:1:", "host:1:2:x", "host:1:2:3:4"])
def test_what_is_no_owner_is_told(text: str) -> None:
    assert Owner.parse(text) is None


_WORKER = """
import sys
from autotuner.servers import owner_tag, tags
from autotuner.servers.supervision.work_folder import work_folder
with work_folder(tags(sys.argv[1], "0007", owner_tag())) as folder:
    (folder / "logs").mkdir()
    print(folder, flush=True)
    sys.stdin.read()
"""


class Workers:
    """Processes that hold a work folder each, until they are killed or told to end."""

    def __init__(self) -> None:
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, mark: str) -> tuple[subprocess.Popen[str], Path]:
        command = [sys.executable, "-c", _WORKER, mark]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.processes.append(process)
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())


@pytest.fixture
def workers(own_locks: Path) -> Iterator[Workers]:
    found = Workers()
    yield found
    for process in found.processes:
        process.kill()
        process.communicate()


def test_the_work_folder_of_a_killed_process_is_removed_and_no_other(
    mark: str, workers: Workers, own_locks: Path
) -> None:
    killed, left = workers.start(mark)
    _, held = workers.start(mark)
    ended, gone = workers.start(mark)
    others = own_locks / "autotuner-of-others"
    others.mkdir()
    (own_locks / "autotuner-link").symlink_to(left)
    ended.communicate()
    assert not gone.exists()
    assert find_leftovers(mark) == []
    killed.kill()
    killed.wait()
    assert left.stat().st_mode & 0o777 == 0o700

    found = find_leftovers(mark)
    assert [(one.folder, one.study, one.trial, one.pid) for one in found] == [(str(left), mark, "0007", 0)]
    assert reap(mark) == found
    assert not left.exists()
    assert held.is_dir()
    assert others.is_dir()
    assert reap(mark) == []


def test_a_folder_whose_note_is_not_ours_to_read_is_left_alone(mark: str, own_locks: Path) -> None:
    for number, text in enumerate(["", "[]", '{"AUTOTUNER_HOLDER": 7}', "\0"]):
        folder = own_locks / f"autotuner-{number}"
        folder.mkdir()
        (folder / ".owner.json").write_text(text, encoding="utf-8")
    assert [left for left in reap() if left.folder] == []
    assert len(list(own_locks.glob("autotuner-*"))) == 4
