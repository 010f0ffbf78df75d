"""GPUs are empty before a launch and after it: the true NVML binding over a library of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from autotuner.servers.machine.gpu_memory import require_empty, wait_until_given_back

IN_USE_MIB = 10 * 1024  # of the first GPU, in programs/nvml.c
IDLE_MIB = 1023

# What a call returns or raises, with little patience.
ASK = """
import sys
from autotuner.errors import InfrastructureError
from autotuner.servers.machine.gpu_memory import require_empty, wait_until_given_back
try:
    print(eval(sys.argv[1]))
except InfrastructureError as error:
    print("raised:", error)
"""


@pytest.fixture
def told(nvml: Callable[..., Path], tmp_path: Path) -> Callable[..., str]:
    library = str(nvml())

    def tell(call: str, *, in_use: bool, pid: int | None = None) -> str:
        file = tmp_path / "in-use"
        file.touch() if in_use else file.unlink(missing_ok=True)
        known = {} if pid is None else {"NVML_PID": str(pid)}
        environment = {**os.environ, "LD_LIBRARY_PATH": library, "NVML_IN_USE": str(file), **known}
        command = [sys.executable, "-c", ASK, call]
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
        return ended.stdout.strip()

    return tell


def test_empty_gpus_tell_what_their_driver_keeps(told: Callable[..., str]) -> None:
    used = IDLE_MIB << 20
    assert told("dict(require_empty(['0', 'GPU-one'], 0))", in_use=False) == str({"0": used, "GPU-one": used})


def test_a_gpu_that_only_ray_counts_is_left_out(told: Callable[..., str]) -> None:
    assert told("dict(require_empty(['7'], 0))", in_use=True) == "{}"


def test_a_gpu_in_use_is_refused_with_who_uses_it(told: Callable[..., str]) -> None:
    with subprocess.Popen(["sleep", "300"]) as user:
        whose = told("require_empty(['0'], 0.3)", in_use=True, pid=user.pid)
        user.kill()
    assert whose.startswith(f"raised: GPU 0 is in use by pid {user.pid} (sleep)")
    unseen = told("require_empty(['0'], 0.3)", in_use=True)
    assert unseen == f"raised: GPU 0 is in use by no process that is told ({IN_USE_MIB} MiB)"


def test_memory_that_does_not_come_back_is_told(told: Callable[..., str]) -> None:
    call = f"wait_until_given_back({{'0': {IDLE_MIB << 20}}}, 0.3)"
    assert told(call, in_use=False) == "None"
    assert told(call, in_use=True).startswith(f"raised: GPU 0 has not given {IN_USE_MIB - IDLE_MIB} MiB back")


def test_a_launch_waits_for_its_gpus_and_its_end_for_their_memory(
    nvml: Callable[..., Path], programs: Path, tmp_path: Path
) -> None:
    command = [sys.executable, str(programs / "gpu_launch.py"), str(tmp_path), str(programs / "unruly_server.py")]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(nvml()), "NVML_IN_USE": str(tmp_path / "in-use")}
    ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, timeout=120)
    assert json.loads(ended.stdout) == ["GPUs are empty", "launched", "GPUs are empty", "stopped"]


def test_without_such_a_gpu_nothing_is_asked() -> None:
    assert require_empty(["99"], 0) == {}
    wait_until_given_back({})
