"""CPU cores near a trial's GPUs: on the same NUMA node, by PCI's own account."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_TIMEOUT_S = 10.0
_DEVICES = Path("/sys/bus/pci/devices")


def cores_near(gpu_ids: Sequence[str], devices: Path = _DEVICES) -> tuple[int, ...]:
    """The cores of this process that are near any of ``gpu_ids`` (index or UUID); empty where nothing tells.

    Source: ``local_cpulist`` of a PCI device, Documentation/ABI/testing/sysfs-bus-pci of Linux.
    """
    near: set[int] = set()
    for bus_id in _bus_ids(gpu_ids):
        # NVML writes the domain with eight digits, the kernel with four.
        domain, _, rest = bus_id.strip().lower().partition(":")
        try:
            near |= read_cpu_list((devices / f"{domain[-4:]}:{rest}" / "local_cpulist").read_text(encoding="ascii"))
        except (OSError, ValueError):
            return ()
    return tuple(sorted(near & os.sched_getaffinity(0)))


def read_cpu_list(text: str) -> set[int]:
    """``0-3,8`` → {0, 1, 2, 3, 8}. Raises ValueError."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def _bus_ids(gpu_ids: Sequence[str]) -> list[str]:
    tool = shutil.which("nvidia-smi")
    if not gpu_ids or tool is None:
        return []
    command = [tool, f"--id={','.join(gpu_ids)}", "--query-gpu=pci.bus_id", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return answer.stdout.splitlines()
