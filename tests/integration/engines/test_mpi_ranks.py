"""Ranks on several nodes that become one MPI job by Open MPI's own mpirun, and end together."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from autotuner.engines import mpi_ranks
from autotuner.servers.machine.ports import lease_port
from tests.e2e.studies import PROGRAMS, wait_until

_ENDS_WITHIN_S = 60.0


@contextmanager
def job(folder: Path, nodes: int, *command: str) -> Iterator[list[subprocess.Popen[str]]]:
    """The leader, then every further rank, each in a folder of its own; mpirun starts two processes on each node."""
    ranks: list[subprocess.Popen[str]] = []
    with closing(lease_port("127.0.0.1")) as meeting:
        try:
            for number in range(nodes):
                place = ["127.0.0.1", str(meeting.port)]
                words = ["lead", *place, str(nodes), "2", *command] if number == 0 else ["join", *place, str(number)]
                own = folder / str(number)
                own.mkdir()
                env = {**os.environ, "CUDA_VISIBLE_DEVICES": f"gpu-{number}", "OMPI_MCA_btl": "tcp,self"}
                argv = [sys.executable, "-I", mpi_ranks.__file__, *words]
                pipe = subprocess.PIPE
                ranks.append(subprocess.Popen(argv, cwd=own, env=env, stdout=pipe, stderr=subprocess.STDOUT, text=True))
            yield ranks
        finally:
            kill([psutil.Process(rank.pid) for rank in ranks if rank.poll() is None])
            for rank in ranks:
                rank.communicate()


def kill(processes: list[psutil.Process]) -> None:
    """With all below them, as a supervisor does."""
    for process in [*(child for one in processes for child in one.children(recursive=True)), *processes]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def test_every_rank_has_its_own_environment_and_the_leader_the_servers_exit_code(tmp_path: Path) -> None:
    launch = [sys.executable, str(PROGRAMS / "trtllm-llmapi-launch"), "/bin/sh", "-c", "echo I serve; exit 7"]
    with job(tmp_path, 3, *launch) as ranks:
        told, _ = ranks[0].communicate(timeout=_ENDS_WITHIN_S)
        assert ranks[0].returncode == 7
        assert [rank.wait(_ENDS_WITHIN_S) is not None for rank in ranks] == [True] * 3
    seen = sorted(re.findall(r"MPI rank \d of 6 sees GPUs 'gpu-\d'", told))
    assert seen == [f"MPI rank {number} of 6 sees GPUs 'gpu-{number // 2}'" for number in range(6)]
    assert "I serve" in told


@pytest.mark.parametrize("killed", [0, 1])
def test_the_loss_of_a_rank_ends_the_others_and_their_processes(tmp_path: Path, killed: int) -> None:
    launch = [sys.executable, str(PROGRAMS / "trtllm-llmapi-launch"), "/bin/sleep", "600"]
    with job(tmp_path, 2, *launch) as ranks:
        lost, other = (psutil.Process(ranks[number].pid) for number in (killed, 1 - killed))
        leader = lost if killed == 0 else other

        def serves() -> bool:
            return any(child.name() == "sleep" for child in leader.children(recursive=True))

        wait_until(serves, "the server to run", _ENDS_WITHIN_S)
        others = other.children(recursive=True)
        kill([lost])
        assert ranks[1 - killed].wait(_ENDS_WITHIN_S) != 0
        wait_until(lambda: not any(process.is_running() for process in others), "its processes to end", _ENDS_WITHIN_S)
