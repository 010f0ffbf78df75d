"""One request over one connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any, cast

import httptools

from autotuner.benchmark.client.events import StreamReader, told_error

_DETAIL_CHARS = 300
_COMPRESSED = (
    "the answer is compressed ({}), which hides when its tokens come: turn that off in the server or its proxy"
)
_LINGER_S = 1.0  # after the answer's end marker, how long the server may take to end the response


class Exchange(asyncio.Protocol):
    """Writes the request when connected and reads the streamed answer; ``done`` is set once, at its end.

    Times are ``time.monotonic`` seconds. ``error`` holds a RequestError's value, or ``None``.
    """

    def __init__(self, payload: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self._payload = payload
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpResponseParser(self)
        self._linger: asyncio.TimerHandle | None = None
        self._refusal = b""
        self._kind = ""
        self.stream = StreamReader()
        self.done: asyncio.Future[None] = loop.create_future()
        self.status: int | None = None
        self.error: str | None = None
        self.detail = ""
        self.sent_s = time.monotonic()
        self.end_s: float | None = None
        self._now_s = self.sent_s

    # what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connected = cast(asyncio.Transport, transport)  # uvloop's has no such base
        self._transport = connected
        if self.end_s is not None:  # given up while connecting
            connected.abort()
            return
        connected.write(self._payload)
        self._payload = b""

    def data_received(self, data: bytes) -> None:
        self._now_s = time.monotonic()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.end("http_status", f"an answer that can't be read: {error.__context__ or error}")

    def connection_lost(self, exc: Exception | None) -> None:
        if self._linger is not None:
            self._linger.cancel()
        if self.end_s is None:
            self._now_s = time.monotonic()
            self._over(f": {exc}" if exc else "")
        self._transport = None

    # what the HTTP parser calls

    def on_status(self, status: bytes) -> None:
        self.status = self._parser.get_status_code()

    def on_header(self, name: bytes, value: bytes) -> None:
        match name.lower():
            case b"content-type":
                self._kind = value.decode(errors="replace")
            case b"content-encoding" if value.lower() != b"identity" and self.status == 200:
                self.end("not_a_stream", _COMPRESSED.format(value.decode(errors="replace")))

    def on_body(self, data: bytes) -> None:
        if self.status != 200:
            self._refusal += data[: 4 * _DETAIL_CHARS]
            return
        self.stream.feed(data, self._now_s)
        self._look()

    def _look(self) -> None:
        if self.stream.error is not None:
            self.end("http_status", self.stream.error)
        elif self.stream.ended:
            self._whole()

    def on_message_complete(self) -> None:
        if self.end_s is None:
            self._over("")
        if self._transport is not None:
            self._transport.close()

    # how it ends

    def end(self, error: str | None, detail: str = "") -> None:
        """Ends the request, once; later calls change nothing."""
        if self.end_s is not None:
            return
        self.end_s = time.monotonic() if error is not None else self._now_s
        self.error, self.detail = error, detail[:_DETAIL_CHARS]
        if not self.done.done():
            self.done.set_result(None)
        if self._transport is None:
            return
        if error is not None:
            self._transport.abort()
        else:
            self._linger = self._loop.call_later(_LINGER_S, self.abort)

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _whole(self) -> None:
        """The stream has ended in good order; whether it is an answer, its content says."""
        self.end(*(self.stream.defect() or (None,)))

    def _over(self, reason: str) -> None:
        """The response or the connection is over and no end marker was seen."""
        self.stream.close(self._now_s)
        self._look()
        if self.status is None:
            self.end("cut", f"the connection ended before an answer{reason}")
        elif self.status != 200:
            self.end("http_status", self._refusal.decode(errors="replace"))
        elif self.stream.finish is not None and not reason:
            self._whole()
        elif self.stream.events or not self.stream.head:
            self.end("cut", f"the stream ended after {len(self.stream.chunks)} chunks{reason}")
        else:
            self.end(*_no_stream(self._kind, self.stream.head))


def _no_stream(kind: str, head: bytes) -> tuple[str, str]:
    """What a whole answer without any event is: an error object, or something that no stream was asked for."""
    text = head.decode(errors="replace")
    with contextlib.suppress(ValueError):
        if (error := told_error(json.loads(head))) is not None:
            return "http_status", error
    return "not_a_stream", f"{kind or 'an answer without a type'} came instead of a stream of events: {text}"
