"""A GPU is empty before a launch, and as empty as before when the launch has ended. Told by NVML, where there is one.

Source: NVIDIA's NVML API reference, "Device Queries" (nvmlDeviceGetComputeRunningProcesses, nvmlDeviceGetMemoryInfo,
whose ``used`` counts what the driver keeps for itself as well, some hundred MiB on data-centre GPUs).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from autotuner.errors import InfrastructureError
from autotuner.servers.machine.nvml import gpu_handle, open_nvml

_EMPTY_WITHIN_S = 15.0  # a driver gives memory back some time after a process has ended
_BACK_WITHIN_S = 30.0
_POLL_S = 0.25
_MIB = 1 << 20
# Of a GPU without a process: the driver's own, a display's.
_IDLE_BYTES = 1024 * _MIB
_IDLE_SHARE = 0.02
_SLACK_BYTES = 128 * _MIB  # by which an empty GPU may differ from itself


@dataclass(frozen=True)
class _Use:
    """What a GPU is used for now."""

    pids: tuple[int, ...]
    used_bytes: int
    total_bytes: int

    @property
    def is_none(self) -> bool:
        return not self.pids and self.used_bytes <= max(_IDLE_BYTES, _IDLE_SHARE * self.total_bytes)


def require_empty(gpu_ids: Sequence[str], patience_s: float = _EMPTY_WITHIN_S) -> Mapping[str, int]:
    """Bytes in use of each GPU (index or UUID) when nothing runs on it. GPUs that NVML does not know are left out.

    Raises InfrastructureError for one on which something still runs after ``patience_s`` seconds.
    """
    found: dict[str, int] = {}
    with open_nvml() as nvml:
        ends_at = time.monotonic() + patience_s
        for gpu_id in gpu_ids if nvml is not None else ():
            while (use := _use(nvml, gpu_id)) is not None and not use.is_none:
                if time.monotonic() > ends_at:
                    raise InfrastructureError(f"GPU {gpu_id} is in use by {_by_whom(use)}")
                time.sleep(_POLL_S)
            if use is not None:
                found[gpu_id] = use.used_bytes
    return found


def wait_until_given_back(before: Mapping[str, int], patience_s: float = _BACK_WITHIN_S) -> None:
    """Returns when each GPU uses no more than ``before`` (what ``require_empty`` found), a few MiB apart.

    Raises InfrastructureError for one that still does after ``patience_s`` seconds.
    """
    if not before:
        return
    with open_nvml() as nvml:
        ends_at = time.monotonic() + patience_s
        for gpu_id, bytes_before in before.items() if nvml is not None else ():
            while (use := _use(nvml, gpu_id)) is not None and use.used_bytes > bytes_before + _SLACK_BYTES:
                if time.monotonic() > ends_at:
                    more = (use.used_bytes - bytes_before) // _MIB
                    raise InfrastructureError(
                        f"GPU {gpu_id} has not given {more} MiB back {patience_s:g} s after its servers ended; "
                        f"in use by {_by_whom(use)}"
                    )
                time.sleep(_POLL_S)


def _use(nvml: Any, gpu_id: str) -> _Use | None:
    """``None`` of a GPU that NVML does not know: one that only Ray counts."""
    try:
        gpu = gpu_handle(nvml, gpu_id)
        memory = nvml.nvmlDeviceGetMemoryInfo(gpu)
    except nvml.NVMLError:
        return None
    pids: tuple[int, ...] = ()
    with contextlib.suppress(nvml.NVMLError):  # not told of a part of a GPU, nor by some drivers
        pids = tuple(process.pid for process in nvml.nvmlDeviceGetComputeRunningProcesses(gpu))
    return _Use(pids, memory.used, memory.total)


def _by_whom(use: _Use) -> str:
    if not use.pids:
        return f"no process that is told ({use.used_bytes // _MIB} MiB)"
    return "pid " + ", ".join(f"{pid} ({_name(pid)})" for pid in use.pids)


def _name(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return "not seen from here"
