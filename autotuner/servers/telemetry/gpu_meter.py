"""GpuMeter: reads a trial's GPUs through NVML.

Source of the quantities and their units: NVIDIA's NVML API reference, "Device Queries" (nvmlDeviceGetMemoryInfo: bytes,
nvmlDeviceGetUtilizationRates: per cent, nvmlDeviceGetComputeRunningProcesses, nvmlDeviceGetPowerUsage: mW,
nvmlDeviceGetTotalEnergyConsumption: mJ since the driver was loaded, from Volta on).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autotuner.servers.machine.nvml import gpu_handle, load_nvml
from autotuner.servers.supervision.supervisor import descendants

_GIB = 1 << 30


class GpuMeter:
    """The GPUs ``gpu_ids`` (indices or UUIDs) of a trial that holds ``gpus`` of them, some perhaps on other nodes.

    Without nvidia-ml-py or a driver it tells nothing. Power and energy are told only where every GPU of the trial is
    seen: a part of them says nothing about a token. Processes on the GPUs are strangers where they are not below this
    one; where NVML numbers them otherwise (in a container), where they were not there at the first reading: the GPUs
    were empty before the launch.
    """

    def __init__(self, gpu_ids: Sequence[str], gpus: int) -> None:
        self._gpu_ids = tuple(gpu_ids)
        self._gpus = gpus
        self._nvml: Any = None
        self._handles: list[Any] | None = None
        self._first_pids: set[int] | None = None

    def read(self) -> Mapping[str, float] | None:
        # Opened here, in the sampler's thread: a driver without persistence takes seconds to wake.
        if self._handles is None:
            self._handles = self._open()
        nvml, handles = self._nvml, self._handles
        if not handles:
            return {}
        memory = _each(nvml, handles, lambda gpu: nvml.nvmlDeviceGetMemoryInfo(gpu).used / _GIB)
        use = _each(nvml, handles, lambda gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100)
        found = {}
        if memory:
            found["gpu_memory_gib"] = max(memory)
        if use:
            found["gpu_utilization"] = sum(use) / len(use)
        if len(handles) >= self._gpus:
            power = _each(nvml, handles, lambda gpu: nvml.nvmlDeviceGetPowerUsage(gpu) / 1000)
            energy = _each(nvml, handles, lambda gpu: nvml.nvmlDeviceGetTotalEnergyConsumption(gpu) / 1000)
            if power:
                found["gpu_power_w"] = sum(power)
            if energy:
                found["gpu_energy_j"] = sum(energy)
        found |= self._strangers(nvml, handles)
        return found or None

    def close(self) -> None:
        nvml, self._nvml, self._handles = self._nvml, None, []
        if nvml is not None:
            try:
                nvml.nvmlShutdown()
            except nvml.NVMLError:
                return

    def _strangers(self, nvml: Any, handles: Sequence[Any]) -> dict[str, float]:
        try:
            pids = {process.pid for gpu in handles for process in nvml.nvmlDeviceGetComputeRunningProcesses(gpu)}
        except nvml.NVMLError:  # not told of a part of a GPU, nor by some drivers
            return {}
        if self._first_pids is None:
            self._first_pids = pids
        own = {os.getpid(), *descendants(os.getpid())}
        strangers = pids - own if pids & own else pids - self._first_pids - own
        return {"gpu_strangers": float(len(strangers))}

    def _open(self) -> list[Any]:
        nvml = self._nvml = load_nvml()
        if nvml is None:
            return []
        try:
            return [gpu_handle(nvml, gpu_id) for gpu_id in self._gpu_ids]
        except nvml.NVMLError:
            return []


def _each(nvml: Any, handles: Sequence[Any], ask: Callable[[Any], float]) -> list[float]:
    """The answer of each GPU; none at all where one has none."""
    try:
        return [float(ask(gpu)) for gpu in handles]
    except nvml.NVMLError:
        return []
