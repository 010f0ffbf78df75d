"""Emptying the prefix caches of running servers between load points."""

from __future__ import annotations

import http
import time
from collections.abc import Sequence

from autotuner.engines.deployment import HttpCall
from autotuner.servers.readiness import probe

_TRIES = 5  # an engine refuses while a request is still being wound up
_WAIT_S = 0.2
_TIMEOUT_S = 10.0


def reset_caches(urls: Sequence[str], call: HttpCall) -> bool:
    """Asks every server to empty its cache; whether all did. One that did not still has what prompts share."""
    done = [_reset(url + call.path, call.method) for url in urls]
    return all(done)


def _reset(url: str, method: str) -> bool:
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_WAIT_S)
        status = probe(url, timeout_s=_TIMEOUT_S, method=method)
        if status is None or status == http.HTTPStatus.OK:
            return status is not None
    return False
