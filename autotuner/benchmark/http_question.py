"""One HTTP request and its whole answer, or the reason why there is none. Few and light imports."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

# What servers and the proxies before them say until a model is loaded.
STARTING = frozenset((HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT))
_MAX_BODY_BYTES = 2**24


@dataclass(frozen=True)
class HttpAnswer:
    """``status`` 0: there was none, and ``reason`` says why.

    ``refused_certificate``: because this machine does not trust the server's certificate, which waiting won't change.
    """

    status: int
    body: bytes = b""
    reason: str = ""
    refused_certificate: bool = False


def http_question(
    method: str,
    url: str,
    *,
    timeout_s: float,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    insecure: bool = False,
) -> HttpAnswer:
    """Asks over a connection of its own; whatever goes wrong on the way is an answer of status 0."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = client_tls(insecure=insecure)
            connection = http.client.HTTPSConnection(parts.netloc, timeout=timeout_s, context=context)
        else:
            connection = http.client.HTTPConnection(parts.netloc, timeout=timeout_s)
        try:
            connection.request(method, target, body, {"Connection": "close", **(headers or {})})
            response = connection.getresponse()
            return HttpAnswer(response.status, response.read(_MAX_BODY_BYTES))
        finally:
            connection.close()
    except ssl.SSLCertVerificationError as error:
        return HttpAnswer(0, reason=f"its certificate is refused: {error.verify_message}", refused_certificate=True)
    except TimeoutError:
        return HttpAnswer(0, reason=f"no answer within {timeout_s:g} s")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return HttpAnswer(0, reason=str(error) or type(error).__name__)


def client_tls(*, insecure: bool) -> ssl.SSLContext:
    """What this machine trusts; ``insecure``: any certificate at all."""
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
