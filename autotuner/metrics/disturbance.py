"""Whether others were at work on a load point's cores, servers or GPUs, so that its figures are theirs too. Pure.

Cores: threads of servers and client waited for a core, as the kernel tells it (/proc/PID/task/TID/schedstat, of which
Documentation/scheduler/sched-stats.rst of Linux says: time on the cpu, time waiting on a runqueue, in ns), and others
had the trial's cores meanwhile (/proc/stat). Both must hold: threads that wait for each other's cores, since a Config
asks for more of them than it has cores, are the Config's own affair, and so are others that nobody waits for.
Requests: the servers have answered more than were sent to them. GPUs: processes of others are on them.
"""

from __future__ import annotations

from collections.abc import Iterator

from autotuner.metrics.request import PointRun
from autotuner.metrics.telemetry import Telemetry

# A share w of waiting makes work that needs the core 1 / (1 − w) times as long. Repeats of one Config on a quiet
# machine differ by 2 % (median) to 8 % (90th percentile): from a tenth on, what others do is more than such noise.
LEAST_WAIT_SHARE = 0.1
LEAST_OTHERS_SHARE = 0.1  # of the cores: with less, threads of the trial's own must have taken most of the rest
# A request may be counted a moment after its answer has ended, one of the load point before it in this one.
STRANGE_REQUESTS = 2
STRANGE_REQUESTS_SHARE = 0.01


def disturbance(run: PointRun) -> str:
    """What others did during ``run``, in words; empty: nothing that was noticed."""
    return "" if run.telemetry is None else ", ".join(_found(run, run.telemetry))


def cpu_wait_share(ran_s: float | None, waited_s: float | None) -> float | None:
    """Of the time in which threads wanted a core, the share in which they had none; ``None``: nobody says."""
    if ran_s is None or waited_s is None or ran_s + waited_s <= 0:
        return None
    return waited_s / (ran_s + waited_s)


def _found(run: PointRun, told: Telemetry) -> Iterator[str]:
    yield from _of_cores(told)
    finished = told.increase("finished")
    strange = 0.0 if finished is None else finished.count - len(run.records)
    if strange > max(STRANGE_REQUESTS, STRANGE_REQUESTS_SHARE * len(run.records)):
        yield f"the servers answered {strange:.0f} requests of others"
    strangers = max((count for _, count in told.told("gpu_strangers")), default=0.0)
    if strangers:
        yield f"{strangers:.0f} processes of others were on its GPUs"


def _of_cores(told: Telemetry) -> Iterator[str]:
    ran, waited, others = (told.increase(name) for name in ("cpu_run_s", "cpu_wait_s", "cpu_others_s"))
    if ran is None or waited is None or others is None or others.seconds <= 0:
        return
    wait_share = cpu_wait_share(ran.count, waited.count) or 0.0
    others_share = others.count / others.seconds
    if wait_share >= LEAST_WAIT_SHARE and others_share >= LEAST_OTHERS_SHARE:
        yield (
            f"other processes had {100 * others_share:.0f} % of its cores, for which its threads waited "
            f"{100 * wait_share:.0f} % of their time"
        )
