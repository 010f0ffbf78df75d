"""Processes on a trial's GPUs that are not the trial's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from autotuner.servers.telemetry import gpu_meter
from autotuner.servers.telemetry.gpu_meter import GpuMeter

GPUS = ("0", "1")


class Driver:
    """NVML as far as the meter asks it; ``pids`` of each GPU, ``None``: it does not tell them."""

    class NVMLError(Exception):
        pass

    def __init__(self, *pids: Sequence[int] | None) -> None:
        self.pids = dict(zip(GPUS, pids, strict=True))

    def nvmlDeviceGetComputeRunningProcesses(self, gpu: str) -> list[Any]:  # noqa: N802  # NVML's own name
        pids = self.pids[gpu]
        if pids is None:
            raise self.NVMLError
        return [SimpleNamespace(pid=pid) for pid in pids]

    def __getattr__(self, name: str) -> Any:
        def not_told(*_: object) -> None:
            raise self.NVMLError

        return not_told


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a meter tells of each state of the GPUs, one after another."""

    def read(*states: tuple[Sequence[int] | None, Sequence[int] | None]) -> list[float | None]:
        driver = Driver(*states[0])
        monkeypatch.setattr(gpu_meter, "load_nvml", lambda: driver)
        monkeypatch.setattr(gpu_meter, "gpu_handle", lambda _, gpu_id: gpu_id)
        meter = GpuMeter(GPUS, 2)
        found = []
        for state in states:
            driver.pids = dict(zip(GPUS, state, strict=True))
            found.append((meter.read() or {}).get("gpu_strangers"))
        return found

    return read


def test_where_pids_are_those_of_this_machine_all_but_our_own_are_strangers(seen: Any) -> None:
    own = os.getpid()
    assert seen(([own], []), ([own, 1], [1, 2]), ([own], [own])) == [0, 2, 0]


def test_where_they_are_others_all_that_come_later_are_strangers(seen: Any) -> None:
    far = 1 << 30  # no process of this machine
    assert seen(([far], [far + 1]), ([far], [far + 1, far + 2]), ([], [])) == [0, 1, 0]


def test_a_driver_that_does_not_tell_has_no_strangers(seen: Any) -> None:
    assert seen((None, None), ([5], None)) == [None, None]
