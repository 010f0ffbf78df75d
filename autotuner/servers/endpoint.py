"""EndpointLauncher: a server that already runs. Nothing is started, nothing is stopped."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from autotuner.errors import Failure, LaunchError
from autotuner.servers._tail import TAIL_BYTES
from autotuner.servers.launcher import Diagnose, LaunchRequest
from autotuner.servers.readiness import Readiness, get_json_text, probe, wait_until_ready

_LONGEST_WAIT_S = 30.0


@dataclass(frozen=True)
class EndpointServer:
    """A server that someone else runs, and that answered."""

    url: str
    startup_s: float
    engine_version: str

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def urls(self) -> tuple[str, ...]:
        return (self.url,)

    def exit_code(self, within_s: float = 0.0) -> int | None:
        """Always ``None``: its death shows in refused requests only."""
        return None

    def log_tail(self, max_bytes: int = TAIL_BYTES) -> str:
        return ""

    def stop(self) -> None:
        """Nothing: it was running before."""


@dataclass(frozen=True)
class EndpointLauncher:
    """``url`` is the base URL without ``/v1``; ``headers`` go with every request and are secret."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def launch(self, request: LaunchRequest, diagnose: Diagnose) -> EndpointServer:
        """Waits for an answer to the ready probe or to ``/v1/models``: not every gateway passes a probe on.

        Raises LaunchError (INFRASTRUCTURE) when none came within the start time-out, 30 s at most.
        """
        base = self.url.rstrip("/").removesuffix("/v1")
        deployment = request.deployment
        started = time.monotonic()

        def answers() -> bool:
            paths = (deployment.ready.path, "/v1/models")
            return any(probe(base + path, self.headers) == 200 for path in paths)

        outcome = wait_until_ready(answers, lambda: False, min(request.start_timeout_s, _LONGEST_WAIT_S))
        if outcome is not Readiness.READY:
            raise LaunchError(f"no server answers at {base}", Failure.INFRASTRUCTURE)
        version = None
        if deployment.version is not None:
            version = get_json_text(base + deployment.version.path, deployment.version.key, self.headers)
        return EndpointServer(base, time.monotonic() - started, version or deployment.engine_version)
