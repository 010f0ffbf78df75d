"""A server that its node kills, for want of memory or of room for its log, is told from one that ends by itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from autotuner.engines.logs.log_pattern import KILLED_BY_KERNEL
from autotuner.errors import ServerLostError
from autotuner.servers.supervision import supervisor
from autotuner.servers.supervision.supervision import RankProcess, Supervision
from benchmarks.chaos_study import wait_for

# The supervisor of a node with other counters of the kernel's, or another idea of a full disk.
PROGRAM = """
import json, sys
from autotuner.servers.supervision import supervisor
vars(supervisor).update(json.loads(sys.argv.pop()))
supervisor.main()
"""

Events = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


@pytest.fixture
def events(tmp_path: Path, log: Path) -> Events:
    """What a supervisor tells of a shell script, with some of its constants changed."""

    def run(script: str, **constants: Any) -> list[dict[str, Any]]:
        rank = {"argv": ["sh", "-c", script], "env": {**os.environ}, "cwd": str(tmp_path), "log": str(log), "cores": []}
        command = [sys.executable, "-c", PROGRAM, json.dumps(constants)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({"ranks": [rank], "parent": os.getpid(), "grace_s": 1}) + "\n")
            process.stdin.flush()
            told = [json.loads(line) for line in process.stdout]
            assert process.wait(30) == 0
        assert [event["event"] for event in told] == ["started", "ended", "gone"]
        return told

    return run


def test_both_sides_have_the_same_words() -> None:
    assert supervisor.KILLED_BY_KERNEL == KILLED_BY_KERNEL


def test_the_kernels_own_count_can_be_read() -> None:
    line = next(line for line in Path("/proc/vmstat").read_text().splitlines() if line.startswith("oom_kill "))
    assert supervisor.oom_kills() == int(line.split()[1])


@pytest.mark.parametrize(("signal", "count", "is_told"), [("KILL", 4, True), ("KILL", 3, False), ("SEGV", 4, False)])
def test_a_kill_while_the_kernel_counted_one_is_for_want_of_memory(
    events: Events, tmp_path: Path, log: Path, signal: str, count: int, is_told: bool
) -> None:
    counters = tmp_path / "vmstat"
    counters.write_text("pgfault 99\noom_kill 3\noom_kill_other 7\n")
    events(f"echo a word; echo oom_kill {count} > {counters}; kill -{signal} $$", OOM_KILLS=str(counters))
    assert log.read_text().splitlines()[0] == "a word"
    assert (KILLED_BY_KERNEL in log.read_text()) == is_told


@pytest.mark.parametrize(("least_free_bytes", "is_full"), [(65536, False), (2**63, True)])
def test_an_end_with_no_room_left_for_the_log_is_told(events: Events, least_free_bytes: int, is_full: bool) -> None:
    _, ended, _ = events("exit 3", LEAST_FREE_BYTES=least_free_bytes)
    assert (ended["exit_code"], ended["log_is_full"]) == (3, is_full)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a file system needs root")
def test_a_server_that_ends_on_a_full_disk_is_lost(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)], check=True)
    try:
        script = "while echo a line of a log; do :; done; exit 1"
        rank = RankProcess(("sh", "-c", script), dict(os.environ), tmp_path, disk / "rank0.log")
        supervision = Supervision([rank], launch_id="full", env=dict(os.environ), log=tmp_path / "supervisor.log")
        try:
            with pytest.raises(ServerLostError, match="exit code 1, with no room left for its log"):
                wait_for(supervision.exit_code, 30)
        finally:
            supervision.stop()
    finally:
        subprocess.run(["umount", str(disk)], check=True)
