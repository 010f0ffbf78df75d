"""Tells whether a load point has a measurement, and if not, why. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from autotuner.engines.engine import FailureReport
from autotuner.errors import Failure
from autotuner.metrics.request import PointRun, RequestError
from autotuner.results.records import PointFailure


@dataclass(frozen=True)
class Client:
    """The load driver's share of its host: ``cpus`` of ``host_cores``, which ``host_load`` processes want (its load
    average of the last minute)."""

    cpus: int
    host_load: float
    host_cores: int


def point_failure(
    run: PointRun, exit_code: int | None, diagnose: Callable[[int | None], FailureReport], client: Client
) -> PointFailure | None:
    """Why ``run`` can't be scored, or ``None`` when it has a measurement.

    A server that died takes the point with it. A point with at least one good request is measured:
    its error rate speaks for itself. ``diagnose`` reads the server's log, and is only called for a
    dead one.
    """
    level = str(run.level)
    if run.replayed is not None:
        failure = run.replayed.failure
        return None if failure is None else PointFailure(level, failure, f"recorded as {failure}")
    if exit_code is not None:
        report = diagnose(exit_code)
        return PointFailure(level, _under_load(report.failure), f"the server died under load: {report.message}")
    if run.saturated:
        return PointFailure(level, Failure.CLIENT_SATURATED, _too_slow(run.lag_p99_ms, client))
    sent = [r for r in run.records if not r.warmup and r.error is not RequestError.CANCELLED]
    if any(r.ok for r in sent):
        return None
    return _nothing_came_back(run, [r.error for r in sent if r.error is not None])


def _too_slow(lag_p99_ms: float, client: Client) -> str:
    late = f"the load driver itself was {lag_p99_ms:.1f} ms late (p99) on hardware.client_cpus: {client.cpus}"
    host = f"its host has a load of {client.host_load:.1f} on {client.host_cores} cores"
    if client.host_load > client.host_cores:
        return f"{late}; {host}: let it do less beside the study, or raise client_cpus where cores are free"
    return f"{late}; {host}: raise client_cpus"


def _nothing_came_back(run: PointRun, errors: list[RequestError]) -> PointFailure:
    kinds = Counter(errors or [r.error for r in run.records if r.error is not None])
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common()) or "nothing was sent"
    details = next((r.detail for r in run.records if r.detail), "")
    message = f"no request succeeded ({told}){': ' + details if details else ''}"
    hung = kinds.total() == 0 or kinds[RequestError.TIMEOUT] * 2 > kinds.total()
    return PointFailure(str(run.level), Failure.HANG if hung else Failure.BAD_RESPONSES, message)


def _under_load(failure: Failure) -> Failure:
    if failure is Failure.OUT_OF_MEMORY_AT_START:
        return Failure.OUT_OF_MEMORY_UNDER_LOAD
    return failure
