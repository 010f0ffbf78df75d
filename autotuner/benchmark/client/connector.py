"""Where requests go: addresses are looked up once, connections are made for each request."""

from __future__ import annotations

import asyncio
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from autotuner.benchmark.client.exchange import Exchange
from autotuner.benchmark.http_question import client_tls
from autotuner.errors import WorkloadError


@dataclass(frozen=True)
class Address:
    """One server: the numeric address to connect to, and what its requests are headed with."""

    ip: str
    port: int
    host: str  # the Host header
    server_name: str
    prefix: str  # path before /v1
    tls: ssl.SSLContext | None

    @staticmethod
    def of(url: str, *, insecure: bool = False) -> Address:
        """Looks a base URL up. Raises WorkloadError for what is no http(s) URL, OSError for an unknown host.

        ``insecure``: whatever certificate it has is taken.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise WorkloadError(f"url: {url!r}: http:// or https:// and a host", key="url", value=url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        tls = client_tls(insecure=insecure) if parts.scheme == "https" else None
        ip = _reachable(parts.hostname, port)
        return Address(ip, port, parts.netloc.rpartition("@")[2], parts.hostname, parts.path.rstrip("/"), tls)


def _reachable(host: str, port: int) -> str:
    """The first of the host's addresses that accepts a connection, or just the first."""
    found = [str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    for ip in found if len(found) > 1 else []:
        try:
            socket.create_connection((ip, port), timeout=2.0).close()
        except OSError:
            continue
        return ip
    return found[0]


@dataclass(frozen=True)
class Connector:
    """Performs exchanges with equal replicas."""

    addresses: tuple[Address, ...]
    request_timeout_s: float

    def address(self, index: int) -> Address:
        return self.addresses[index % len(self.addresses)]

    async def perform(self, exchange: Exchange, address: Address) -> None:
        """Returns when the exchange has ended, well or not, after the request time-out at the latest."""
        loop = asyncio.get_running_loop()
        server_name = address.server_name if address.tls is not None else None
        try:
            async with asyncio.timeout(self.request_timeout_s):
                await loop.create_connection(
                    lambda: exchange, address.ip, address.port, ssl=address.tls, server_hostname=server_name
                )
                await exchange.done
        except TimeoutError:
            exchange.end("timeout", f"no end of the answer within {self.request_timeout_s:g} s")
        except OSError as error:
            exchange.end("refused", str(error))
