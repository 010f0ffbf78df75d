"""A server that the kernel kills for want of memory is told from one that something else kills."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autotuner.engines.log_pattern import KILLED_BY_KERNEL
from autotuner.servers import supervisor

# The supervisor with a file in place of the kernel's counters.
PROGRAM = (
    "import sys\nfrom autotuner.servers import supervisor\nsupervisor.OOM_KILLS = sys.argv.pop()\nsupervisor.main()\n"
)


def test_both_sides_have_the_same_words() -> None:
    assert supervisor.KILLED_BY_KERNEL == KILLED_BY_KERNEL


def test_the_kernels_own_count_can_be_read() -> None:
    line = next(line for line in Path("/proc/vmstat").read_text().splitlines() if line.startswith("oom_kill "))
    assert supervisor.oom_kills() == int(line.split()[1])


@pytest.mark.parametrize(("signal", "count", "is_told"), [("KILL", 4, True), ("KILL", 3, False), ("SEGV", 4, False)])
def test_a_kill_while_the_kernel_counted_one_is_for_want_of_memory(
    tmp_path: Path, signal: str, count: int, is_told: bool
) -> None:
    counters, log = tmp_path / "vmstat", tmp_path / "server.log"
    counters.write_text("pgfault 99\noom_kill 3\noom_kill_other 7\n")
    script = f"echo a word; echo oom_kill {count} > {counters}; kill -{signal} $$"
    rank = {"argv": ["sh", "-c", script], "env": dict(os.environ), "cwd": str(tmp_path), "log": str(log), "cores": []}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(counters)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    launch = {"ranks": [rank], "parent": os.getpid(), "grace_s": 1}
    assert process.stdin is not None
    process.stdin.write(json.dumps(launch) + "\n")
    process.stdin.flush()
    told = [json.loads(line)["event"] for line in process.stdout or ()]
    assert process.wait(30) == 0
    process.stdin.close()
    assert told == ["started", "ended", "gone"]
    assert log.read_text().splitlines()[0] == "a word"
    assert (KILLED_BY_KERNEL in log.read_text()) == is_told
