"""LoadDriver: what a trial asks of whatever sends the requests (real, simulated, replayed)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from autotuner.benchmark.traffic.plan import LoadPoint
from autotuner.engines.engine import RequestFeatures
from autotuner.metrics.request import PointRun
from autotuner.study.model import Workload


@dataclass(frozen=True)
class Target:
    """Where requests go. ``urls`` are base URLs of equal replicas, without ``/v1``.

    ``insecure``: their certificates are taken as they are. Of a server that someone else runs (``is_known`` false)
    ``features`` are what it may do: it is asked before the load, and believed while the load bears it out.
    """

    urls: Sequence[str]
    served_name: str
    features: RequestFeatures
    headers: Mapping[str, str] = field(default_factory=dict)
    insecure: bool = False
    is_known: bool = True


@dataclass(frozen=True)
class DriverSettings:
    """``cores`` are the client's leased cores (empty: not pinned); ``seed`` fixes every prompt."""

    workload: Workload
    request_timeout_s: float
    seed: int
    cores: tuple[int, ...] = ()


class LoadDriver(Protocol):
    """A context manager that lives as long as the server it presses."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def run(self, point: LoadPoint, *, deadline_s: float, allowed_s: float | None = None) -> PointRun:
        """Sends ``point.requests`` measured requests (and warm-up before them).

        Ends after ``deadline_s`` seconds at the latest: what is still in flight is then recorded as
        TIMEOUT. One that would take far longer than ``allowed_s`` (by default as long) is given up before: what
        ends it for another's sake says nothing about the server. Raises WorkloadError for what can't be sent.
        """
        ...
