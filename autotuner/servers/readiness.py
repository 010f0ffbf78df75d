"""Readiness: asks a server's probe until it answers 200, or something says that it never will."""

from __future__ import annotations

import http
import json
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from autotuner.benchmark.http_question import http_question

_FIRST_WAIT_S = 0.02
_LONGEST_WAIT_S = 0.5
_PROBE_TIMEOUT_S = 5.0


class Readiness(StrEnum):
    READY = "ready"
    DIED = "died"
    TIMED_OUT = "timed_out"


def wait_until_ready(is_ready: Callable[[], bool], has_died: Callable[[], bool], deadline_s: float) -> Readiness:
    """Asks both in turn for up to ``deadline_s`` seconds, at growing intervals. Death is noticed first."""
    deadline = time.monotonic() + deadline_s
    wait_s = _FIRST_WAIT_S
    while not has_died():
        if is_ready():
            # What answered may not be what was started: a server that could not bind is dead by now.
            return Readiness.DIED if has_died() else Readiness.READY
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            return Readiness.TIMED_OUT
        time.sleep(min(wait_s, left_s))
        wait_s = min(wait_s * 1.2, _LONGEST_WAIT_S)
    return Readiness.DIED


def probe(
    url: str,
    headers: Mapping[str, str] | None = None,
    *,
    timeout_s: float = _PROBE_TIMEOUT_S,
    method: str = "GET",
    insecure: bool = False,
) -> int | None:
    """The HTTP status of a request without a body, or ``None`` when there was no answer."""
    return http_question(method, url, timeout_s=timeout_s, headers=headers, insecure=insecure).status or None


def get_json_text(
    url: str, key: str, headers: Mapping[str, str] | None = None, *, insecure: bool = False
) -> str | None:
    """The text under ``key`` of the JSON object that a GET answers, or ``None`` when there is none."""
    value = _get_json_object(url, headers, insecure=insecure).get(key)
    return value if isinstance(value, str) and value else None


def served_models(
    base_url: str, headers: Mapping[str, str] | None = None, *, insecure: bool = False
) -> tuple[str, ...]:
    """The names that ``/v1/models`` answers to, adapters left out; empty where it tells none."""
    models = _get_json_object(f"{base_url}/v1/models", headers, insecure=insecure).get("data")
    listed = [model for model in models if isinstance(model, dict)] if isinstance(models, list) else []
    names = [model.get("id") for model in listed if not model.get("parent")]
    return tuple(name for name in names if isinstance(name, str) and name)


def _get_json_object(url: str, headers: Mapping[str, str] | None, *, insecure: bool) -> dict[str, Any]:
    """Empty for any other answer."""
    answer = http_question("GET", url, timeout_s=_PROBE_TIMEOUT_S, headers=headers, insecure=insecure)
    if answer.status != http.HTTPStatus.OK:
        return {}
    try:
        document = json.loads(answer.body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
