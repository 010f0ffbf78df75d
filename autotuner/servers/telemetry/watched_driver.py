"""WatchedDriver: a load driver whose runs come back with what servers and GPUs told meanwhile."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from autotuner.benchmark import LoadDriver, LoadPoint
from autotuner.engines.deployment import Probe
from autotuner.engines.server_metrics import MetricSource, ServerMetric
from autotuner.metrics.disturbance import disturbance
from autotuner.metrics.request import PointRun
from autotuner.metrics.telemetry import Telemetry, TelemetrySample
from autotuner.servers.telemetry.cpu_meter import CpuMeter
from autotuner.servers.telemetry.gpu_meter import GpuMeter
from autotuner.servers.telemetry.sampler import Meter, Reading, Sampler
from autotuner.servers.telemetry.server_meter import ServerMeter


@dataclass(frozen=True)
class WatchTarget:
    """What can be asked: the servers' pages at ``metrics`` below ``urls``, and the GPUs of this node.

    ``gpus`` is how many the trial holds on all nodes. ``cores``: those of servers and client where both are processes
    below this one, none for all that there are; ``None``: they are not. ``heeds_disturbance``: whether runs say what
    others did meanwhile.
    """

    urls: Sequence[str]
    metrics: Probe | None
    sources: Mapping[ServerMetric, MetricSource]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    gpu_ids: Sequence[str] = ()
    gpus: int = 0
    insecure: bool = False  # certificates are taken as they are
    cores: Sequence[int] | None = None
    heeds_disturbance: bool = False


def watch_driver(driver: LoadDriver, target: WatchTarget) -> LoadDriver:
    """``driver`` itself where there is nothing to ask."""
    meters: list[Meter] = []
    if target.metrics is not None and target.sources:
        pages = [url.rstrip("/") + target.metrics.path for url in target.urls]
        meters.append(ServerMeter(pages, target.sources, target.headers, target.insecure))
    if target.gpu_ids and target.gpus:
        meters.append(GpuMeter(target.gpu_ids, target.gpus))
    if target.cores is not None and target.heeds_disturbance:
        meters.append(CpuMeter(target.cores))
    return WatchedDriver(driver, meters, heeds_disturbance=target.heeds_disturbance) if meters else driver


class WatchedDriver:
    """A LoadDriver around another one."""

    def __init__(self, driver: LoadDriver, meters: Sequence[Meter], *, heeds_disturbance: bool = False) -> None:
        self._driver = driver
        self._meters = meters
        self._heeds_disturbance = heeds_disturbance

    def __enter__(self) -> Self:
        self._driver.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._driver.__exit__(kind, error, trace)
        finally:
            for meter in self._meters:
                meter.close()

    def run(self, point: LoadPoint, *, deadline_s: float, allowed_s: float | None = None) -> PointRun:
        samplers = [Sampler(meter) for meter in self._meters]
        began_at = time.time()
        for sampler in samplers:
            sampler.start()
        try:
            run = self._driver.run(point, deadline_s=deadline_s, allowed_s=allowed_s)
        finally:
            for sampler in samplers:
                sampler.end()
        telemetry = _telemetry(samplers, began_at if run.started_at is None else run.started_at)
        told = dataclasses.replace(run, telemetry=telemetry)
        return dataclasses.replace(told, disturbed=disturbance(told)) if self._heeds_disturbance else told


def _telemetry(samplers: Sequence[Sampler], started_at: float) -> Telemetry:
    """On the run's own clock. Of the time before its start, in which the driver makes ready, the last readings stay."""
    start_s = started_at - (time.time() - time.monotonic())
    samples: list[TelemetrySample] = []
    missed = 0
    for sampler in samplers:
        readings, failed = sampler.result()
        missed += failed
        samples += _from_start(readings, start_s)
    return Telemetry(tuple(sorted(samples, key=lambda sample: sample.at_s)), missed)


def _from_start(readings: Sequence[Reading], start_s: float) -> list[TelemetrySample]:
    before = sum(1 for reading in readings if reading.monotonic_s <= start_s)
    kept = readings[max(0, before - 1) :]
    return [TelemetrySample(reading.monotonic_s - start_s, **reading.values) for reading in kept]
