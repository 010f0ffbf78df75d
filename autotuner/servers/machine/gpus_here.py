"""Which GPUs this machine has, and what they are called."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class FoundGpu:
    """A GPU by NVML's name, and its memory as NVML tells it."""

    name: str
    memory_gib: float


def gpus_here() -> tuple[FoundGpu, ...]:
    """The GPUs that this process may use; none without ``nvidia-smi``.

    ``CUDA_VISIBLE_DEVICES`` limits them, as it does for every program on CUDA.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    command = [tool, "--query-gpu=index,uuid,name,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    allowed = None if visible is None else [word.strip() for word in visible.split(",")]
    found = []
    for line in answer.stdout.splitlines():
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != 4 or not fields[3].isdecimal():
            continue
        index, uuid, name, memory_mib = fields
        if allowed is None or any(word == index or (len(word) > 4 and uuid.startswith(word)) for word in allowed):
            found.append(FoundGpu(name, int(memory_mib) / 1024))
    return tuple(found)


def accelerator_name(gpu_ids: Sequence[str]) -> str:
    """NVML's name of the first of ``gpu_ids`` (index or UUID); empty without GPUs or without ``nvidia-smi``."""
    tool = shutil.which("nvidia-smi")
    if not gpu_ids or tool is None:
        return ""
    command = [tool, f"--id={gpu_ids[0]}", "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return answer.stdout.strip()
