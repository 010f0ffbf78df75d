"""EndpointLauncher: a server that already runs. Nothing is started, nothing is stopped."""

from __future__ import annotations

import http
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from autotuner.benchmark.http_question import STARTING, HttpAnswer, http_question
from autotuner.errors import Failure, LaunchError
from autotuner.servers.launcher import Diagnose, LaunchRequest, UnownedServer
from autotuner.servers.readiness import Readiness, get_json_text, served_models, wait_until_ready

_LONGEST_WAIT_S = 30.0
_QUESTION_S = 5.0


@dataclass(frozen=True)
class EndpointLauncher:
    """``url`` is the base URL without ``/v1``; ``headers`` go with every request and are secret.

    ``insecure``: the server's certificate is taken as it is. ``served_name`` is the model's name in requests; ``None``:
    the server is asked for it.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    insecure: bool = False
    served_name: str | None = None

    def launch(self, request: LaunchRequest, diagnose: Diagnose) -> UnownedServer:
        """Waits for an answer to the ready probe or to ``/v1/models``: not every gateway passes a probe on.

        A server that says that it is starting has the whole start time-out, one that is not there 30 s of it at most.
        Raises LaunchError: INFRASTRUCTURE when none came in time, or its certificate is refused; INVALID_CONFIG when
        the server has several models and none by the name of the study's.
        """
        base = self.url.rstrip("/").removesuffix("/v1")
        deployment = request.deployment
        started = time.monotonic()
        last = HttpAnswer(0)

        def asked() -> bool:
            nonlocal last
            for path in (deployment.ready.path, "/v1/models"):
                last = http_question(
                    "GET", base + path, timeout_s=_QUESTION_S, headers=self.headers, insecure=self.insecure
                )
                if last.status == http.HTTPStatus.OK:
                    return True
            return False

        def is_in_vain() -> bool:
            patience_s = _LONGEST_WAIT_S if last.status not in STARTING else request.start_timeout_s
            return last.refused_certificate or time.monotonic() - started > patience_s

        if wait_until_ready(asked, is_in_vain, request.start_timeout_s) is not Readiness.READY:
            raise LaunchError(f"no server answers at {base}: {_told(last)}", Failure.INFRASTRUCTURE)
        version = None
        if deployment.version is not None:
            probe = deployment.version
            version = get_json_text(base + probe.path, probe.key, self.headers, insecure=self.insecure)
        name = self.served_name or self._find_name(base, deployment.served_name)
        return UnownedServer(base, time.monotonic() - started, version or deployment.engine_version, name)

    def _find_name(self, base: str, model: str) -> str:
        """The name that the server has for ``model``: it may serve it under another."""
        names = served_models(base, self.headers, insecure=self.insecure)
        if not names or model in names:
            return model
        if len(names) == 1:
            return names[0]
        raise LaunchError(
            f"the server at {base} serves {', '.join(names)}, and not {model!r}: name one of them in model.served_name",
            Failure.INVALID_CONFIG,
        )


def _told(answer: HttpAnswer) -> str:
    if answer.refused_certificate:
        return f"{answer.reason} (launcher.insecure: true takes it as it is)"
    return answer.reason or f"status {answer.status}: {answer.body[:200].decode(errors='replace')}"
