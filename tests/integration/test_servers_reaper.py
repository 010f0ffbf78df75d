"""The reaper ends what dead drivers left, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import psutil
import pytest

from autotuner.servers import Owner, find_leftovers, owner_tag, reap, tags
from autotuner.servers.tags import HOLDER


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
