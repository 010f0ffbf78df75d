"""bench: the load driver alone, against any OpenAI-compatible server."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from autotuner.benchmark import BenchOptions
from autotuner.benchmark import bench as drive
from autotuner.metrics import LoadLevel, MeasureContext, Measurement, PointRun, RequestError, goodput_limits, measure
from autotuner.study.extra_body import refuse_set_already
from autotuner.study.model import Slo, Workload

_DETAIL_CHARS = 200


@dataclass(frozen=True)
class FailedRequests:
    """Requests that failed for one reason; ``detail`` is in the server's own words where it had any."""

    error: str
    status: int | None
    detail: str
    count: int


@dataclass(frozen=True)
class BenchResult:
    """One load level: its metrics and its raw requests."""

    measurement: Measurement
    run: PointRun = field(repr=False)

    @property
    def failures(self) -> list[FailedRequests]:
        """Why measured requests failed, the most frequent reason first."""
        failed = [r for r in self.run.records if not r.warmup and r.error not in (None, RequestError.CANCELLED)]
        counts = Counter((str(r.error), r.status, r.detail[:_DETAIL_CHARS]) for r in failed)
        return [FailedRequests(*cause, count) for cause, count in counts.most_common()]

    def as_dict(self) -> dict[str, Any]:
        return {
            "load_kind": self.measurement.level.kind,
            "level": self.measurement.level.value,
            "requests": self.measurement.requests,
            "errors": self.measurement.errors,
            "saturated": self.run.saturated,
            "stopped_early": self.run.stopped_early,
            "tokens_by": self.measurement.tokens_by,
            "notes": list(self.measurement.notes),
            "failures": [asdict(failure) for failure in self.failures],
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
    wait_s: float = 0.0,
    insecure: bool = False,
    waiting: Callable[[str], None] | None = None,
    progress: Callable[[LoadLevel, PointRun | None], None] | None = None,
) -> list[BenchResult]:
    """Measures each level of ``workload`` on the server at ``url``; two runs with one seed send the same requests.

    A server that is not there yet is waited for ``wait_s`` seconds (``waiting`` is told); ``insecure``: its certificate
    is taken as it is.

    Raises WorkloadError, StudyError for an ``extra_body`` with what the load sets itself, and InfrastructureError when
    the server does not answer.
    """
    refuse_set_already(workload.extra_body, "workload.extra_body")
    options = BenchOptions(
        workload=workload,
        model=model,
        headers=headers or {},
        requests=requests,
        seed=seed,
        request_timeout_s=request_timeout_s,
        wait_s=wait_s,
        insecure=insecure,
    )
    context = MeasureContext(
        gpus=0, replicas=1, request_timeout_s=request_timeout_s, limits_ms=goodput_limits(slo or Slo())
    )
    return [BenchResult(measure(level, [run], context), run) for level, run in drive(url, options, progress, waiting)]
