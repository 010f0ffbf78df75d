"""bench: the load driver alone, against any OpenAI-compatible server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from autotuner.benchmark import BenchOptions
from autotuner.benchmark import bench as drive
from autotuner.metrics import LoadLevel, MeasureContext, Measurement, PointRun, goodput_limits, measure
from autotuner.study.model import Slo, Workload


@dataclass(frozen=True)
class BenchResult:
    """One load level: its metrics and its raw requests."""

    measurement: Measurement
    run: PointRun = field(repr=False)

    def as_dict(self) -> dict[str, Any]:
        return {
            "load_kind": self.measurement.level.kind,
            "level": self.measurement.level.value,
            "requests": self.measurement.requests,
            "errors": self.measurement.errors,
            "saturated": self.run.saturated,
            "stopped_early": self.run.stopped_early,
            **self.measurement.metrics,
        }


def bench(
    url: str,
    workload: Workload,
    *,
    model: str | None = None,
    headers: Mapping[str, str] | None = None,
    requests: int | None = None,
    seed: int = 0,
    request_timeout_s: float = 120.0,
    slo: Slo | None = None,
    progress: Callable[[LoadLevel, PointRun | None], None] | None = None,
) -> list[BenchResult]:
    """Measures each level of ``workload`` on the server at ``url``; two runs with one seed send the same requests.

    Raises WorkloadError, and InfrastructureError when the server does not answer.
    """
    options = BenchOptions(
        workload=workload,
        model=model,
        headers=headers or {},
        requests=requests,
        seed=seed,
        request_timeout_s=request_timeout_s,
    )
    context = MeasureContext(
        gpus=0, replicas=1, request_timeout_s=request_timeout_s, limits_ms=goodput_limits(slo or Slo())
    )
    return [BenchResult(measure(level, [run], context), run) for level, run in drive(url, options, progress)]
