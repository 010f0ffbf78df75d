"""The load driver alone, against any OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from autotuner.benchmark.driver import DriverSettings
from autotuner.benchmark.probe import discover_target
from autotuner.benchmark.real_driver import open_driver
from autotuner.benchmark.traffic.list_plan import full_requests, levels
from autotuner.benchmark.traffic.plan import LoadPoint
from autotuner.metrics.load_level import LoadLevel
from autotuner.metrics.request import PointRun
from autotuner.study.model import Workload

Progress = Callable[[LoadLevel, PointRun | None], None]
Waiting = Callable[[str], None]


@dataclass(frozen=True)
class BenchOptions:
    """``requests`` is how many each level gets; ``None``: as the workload's own rule says.

    ``wait_s``: how long a server that is not there yet is waited for; ``insecure``: its certificate is not judged.
    """

    workload: Workload
    model: str | None = None  # None: the first that the server names
    headers: Mapping[str, str] = field(default_factory=dict)
    requests: int | None = None
    seed: int = 0
    request_timeout_s: float = 120.0
    level_timeout_s: float = 900.0
    cores: tuple[int, ...] = ()
    wait_s: float = 0.0
    insecure: bool = False


def bench(
    url: str, options: BenchOptions, progress: Progress | None = None, waiting: Waiting | None = None
) -> list[tuple[LoadLevel, PointRun]]:
    """Measures every level of the workload, lowest first.

    ``progress`` is called with ``None`` before a level and with its run after it, ``waiting`` with the reason when the
    server is waited for. Raises WorkloadError, and InfrastructureError when the server does not answer at all.
    """
    workload = options.workload
    plan = [(level, options.requests or full_requests(workload, level)) for level in levels(workload)]
    target = discover_target(
        url,
        api=workload.api,
        model=options.model,
        headers=options.headers,
        insecure=options.insecure,
        wait_s=options.wait_s,
        waiting=waiting,
    )
    settings = DriverSettings(workload, options.request_timeout_s, options.seed, options.cores)
    runs = []
    with open_driver(target, settings) as driver:
        for level, requests in plan:
            if progress is not None:
                progress(level, None)
            run = driver.run(LoadPoint(level, requests, 0), deadline_s=options.level_timeout_s)
            runs.append((level, run))
            if progress is not None:
                progress(level, run)
    return runs
