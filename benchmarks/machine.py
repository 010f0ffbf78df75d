"""What figures were measured on, in one line."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import psutil

from autotuner.servers.machine.gpus_here import gpus_here


def describe() -> str:
    """``2 cores (AMD EPYC), 23 GiB, no GPU, Python 3.11.2, other work 0.4 cores``, the last by the load average."""
    cores = len(os.sched_getaffinity(0))
    memory = psutil.virtual_memory().total / 2**30
    parts = [
        f"{cores} core{'s' if cores != 1 else ''} ({_processor()})",
        f"{memory:.0f} GiB",
        _gpus(),
        f"Python {platform.python_version()}",
        f"other work {os.getloadavg()[0]:.1f} cores",
    ]
    return ", ".join(parts)


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.machine()


def _gpus() -> str:
    found = gpus_here()
    return f"{len(found)} GPUs" if found else "no GPU"
