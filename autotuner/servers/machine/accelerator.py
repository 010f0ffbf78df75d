"""What the GPUs of a trial are called."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

_TIMEOUT_S = 10.0


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
