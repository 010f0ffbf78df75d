"""When the node agent ends: not while someone relies on it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autotuner.servers.docker import agent
from autotuner.servers.machine.lock_file import try_lock


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(agent, "_EVERY_S", 0.01)
    monkeypatch.setattr(agent, "_ENDS_AFTER_S", 0.05)
    path = tmp_path / "agent.lock"
    path.touch()
    return path


def test_it_ends_when_nothing_of_ours_has_been_there_for_a_while(path: Path) -> None:
    there = iter([True, True])
    agent.look_after(path, lambda: next(there, False))
    assert next(there, None) is None
    lock = try_lock(path)
    assert lock is not None, "it has given the lock back"
    os.close(lock)


def test_one_that_is_asked_for_after_its_last_look_goes_on(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks sees that it is locked, and relies on it."""
    idle = agent._look_until_idle
    rounds = []

    def asked_for_as_it_ends(path: Path, look: object) -> int:
        known = idle(path, lambda: False)
        rounds.append(known)
        if len(rounds) == 1:
            assert try_lock(path) is None
            os.utime(path)
        return known

    monkeypatch.setattr(agent, "_look_until_idle", asked_for_as_it_ends)
    agent.look_after(path, lambda: False)
    assert len(rounds) == 2


def test_it_leaves_the_nodes_containers_to_the_one_that_runs(path: Path) -> None:
    lock = try_lock(path)
    assert lock is not None
    agent.look_after(path, lambda: pytest.fail("another one looks"))
    os.close(lock)
