"""Cores on the NUMA node of a trial's GPUs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from autotuner.servers.machine.near_cores import cores_near, read_cpu_list

_SMI = """#!/bin/sh
case "$*" in
*--id=0,1*) printf '00000000:1B:00.0\\n00000000:43:00.0\\n' ;;
*--id=5*) printf '00000000:99:00.0\\n' ;;
*) exit 6 ;;
esac
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two GPUs near cores 0 to 1 and core 9, and this process on cores 0 to 7; what its kernel would say of PCI."""
    (tmp_path / "bin").mkdir()
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.write_text(_SMI, encoding="utf-8")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{smi.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    devices = tmp_path / "devices"
    for bus, cores in (("0000:1b:00.0", "0-1\n"), ("0000:43:00.0", "9\n")):
        (devices / bus).mkdir(parents=True)
        (devices / bus / "local_cpulist").write_text(cores, encoding="ascii")
    return devices


def test_the_cores_near_any_of_the_gpus_that_this_process_may_use(machine: Path) -> None:
    assert cores_near(("0", "1"), machine) == (0, 1)


@pytest.mark.parametrize("gpus", [("5",), ("7",), ()], ids=["unknown to the kernel", "unknown to NVML", "none"])
def test_where_nothing_tells_no_core_is_chosen(machine: Path, gpus: tuple[str, ...]) -> None:
    assert cores_near(gpus, machine) == ()


def test_a_list_of_cores_as_the_kernel_writes_it() -> None:
    assert read_cpu_list("0-3,8") == {0, 1, 2, 3, 8}
