"""ServerMeter: reads the Prometheus pages of a trial's servers."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from autotuner.benchmark.http_question import client_tls
from autotuner.engines.server_metrics import MetricSource, ServerMetric
from autotuner.servers.telemetry.prometheus_page import read_page, together

_DEADLINE_S = 1.0  # of one GET, answer included
_MAX_PAGE_BYTES = 16 << 20
_BLOCK_BYTES = 1 << 16


@dataclass(frozen=True)
class ServerMeter:
    """``urls`` are the pages of equal replicas; a reading needs them all. ``headers`` go with every GET."""

    urls: Sequence[str]
    sources: Mapping[ServerMetric, MetricSource]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    insecure: bool = False

    def read(self) -> Mapping[str, float] | None:
        answers = []
        for url in self.urls:
            page = get_page(url, self.headers, deadline_s=_DEADLINE_S, insecure=self.insecure)
            if page is None:
                return None
            try:
                answers.append(read_page(page, self.sources))
            except ValueError:
                return None
        return together(answers)

    def close(self) -> None:
        """Nothing is held between two readings."""


def get_page(url: str, headers: Mapping[str, str], *, deadline_s: float, insecure: bool = False) -> str | None:
    """The text that a GET answers with status 200, ``None`` where it does not within ``deadline_s``."""
    ends_s = time.monotonic() + deadline_s
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(
            parts.netloc, timeout=deadline_s, context=client_tls(insecure=insecure)
        )
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=deadline_s)
    try:
        query = f"?{parts.query}" if parts.query else ""
        connection.request("GET", (parts.path or "/") + query, headers={"Connection": "close", **headers})
        sock = connection.sock  # the response takes it over
        sock.settimeout(_left_s(ends_s))
        response = connection.getresponse()
        if response.status != http.HTTPStatus.OK:
            return None
        page = bytearray()
        while len(page) < _MAX_PAGE_BYTES:
            sock.settimeout(_left_s(ends_s))  # one receive at a time, so that a trickle ends too
            block = response.read1(_BLOCK_BYTES)
            if not block:
                return page.decode("utf-8", "replace")
            page += block
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return None


def _left_s(ends_s: float) -> float:
    left_s = ends_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
