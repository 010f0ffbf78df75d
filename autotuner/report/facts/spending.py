"""What was spent, in words: the same ones in status, report and terminal.

Wall clock is time as it passes; GPU time and CPU core time are GPUs or cores times the time for which trials held them.
"""

from __future__ import annotations

from autotuner.report.text import duration
from autotuner.results.account import Account, LifeSpent

WALL_CLOCK = "wall clock"
GPU_TIME = "GPU time"
CPU_TIME = "CPU core time"


def resource(account: Account) -> tuple[str, float]:
    """What was held, and its seconds: GPUs, where trials reserved any, else CPU cores."""
    return (GPU_TIME, account.gpu_s) if account.gpu_s else (CPU_TIME, account.cpu_s)


def spent_text(account: Account, *, wall_clock_limit_s: float | None = None, gpu_limit_s: float | None = None) -> str:
    """``wall clock 1 min 46 s, GPU time 5 min 10 s``, with the budget's limits where there are any."""
    name, held_s = (GPU_TIME, account.gpu_s) if gpu_limit_s is not None else resource(account)
    parts = [
        f"{WALL_CLOCK} {duration(account.last_wall_clock_s)}{_of(wall_clock_limit_s)}",
        f"{name} {duration(held_s)}{_of(gpu_limit_s)}",
    ]
    if len(account.lives) > 1:
        parts[0] += f" (this life; all {len(account.lives)} lives {duration(account.wall_clock_s)})"
        parts[1] += " (all lives)"
    return ", ".join(parts)


def lives_text(account: Account) -> str:
    """What each life took, of a study that has had several; else nothing."""
    if len(account.lives) < 2:
        return ""
    return "; ".join(_life_text(life, account) for life in account.lives)


def _life_text(life: LifeSpent, account: Account) -> str:
    name, _ = resource(account)
    held_s = life.gpu_s if name == GPU_TIME else life.cpu_s
    return f"life {life.life}: {WALL_CLOCK} {duration(life.wall_clock_s)}, {name} {duration(held_s)}"


def _of(limit_s: float | None) -> str:
    return "" if limit_s is None else f" of {duration(limit_s)}"
