"""A server with known times: ``python -m autotuner.benchmark.stand_ins.mock_server --ttft-ms 50 --itl-ms 10``.

It answers the OpenAI completions and chat APIs after a fixed time to the first token, with a fixed time
between tokens, and can fail in known ways. It prints ``{"port": …, "url": …}`` when it listens. Load
drivers are checked against it, so it is written thin: protocols, prebuilt events, one timer a stream.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
import time
from collections import deque
from dataclasses import dataclass, field, fields
from typing import IO, Any, cast

import httptools

MODEL = "mock"
_EARLY_S = 0.0004  # timers are rounded to milliseconds: a token this early is on time
_TEMPLATE_TOKENS = 7  # what a chat template adds


@dataclass(frozen=True)
class MockSettings:
    """Times and faults. ``slots`` answers run at once (0: any number), others wait in a queue.

    ``fault`` hits every ``fault_every``-th completion that is streamed: ``500`` (status 500), ``error``
    (error object in the stream), ``cut`` (connection closed half-way), ``reset`` (closed before any
    answer), ``hang`` (silence half-way), ``short`` (half the tokens, ended as if all was well).
    """

    host: str = "127.0.0.1"
    port: int = 0
    ttft_ms: float = 50.0
    itl_ms: float = 10.0
    tokens: int = 16  # of an answer that asks for no number
    tokens_per_chunk: int = 1
    chars_per_token: float = 4.0
    slots: int = 0
    context_tokens: int = 0  # 0: unlimited
    refuse_token_ids: bool = False
    ignore_length: bool = False  # ignore_eos and min_tokens change nothing: answers have ``tokens`` tokens
    fault: str = ""
    fault_every: int = 1
    fault_after: int = 0  # so many streamed completions are answered well first
    log: str = ""  # path of a file that gets each completion's body as a JSON line
    models: str = ""  # names served, with commas between, others are refused; empty: MODEL, but any is taken

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.models.split(",")) if self.models else (MODEL,)


@dataclass
class _Shared:
    """What the connections of one server share."""

    settings: MockSettings
    loop: asyncio.AbstractEventLoop
    busy: int = 0
    streamed: int = 0
    queue: deque[_Connection] = field(default_factory=deque)
    log: IO[str] | None = None

    def admit(self, connection: _Connection) -> None:
        if self.settings.slots and self.busy >= self.settings.slots:
            self.queue.append(connection)
        else:
            self.busy += 1
            connection.begin()

    def metrics_page(self) -> bytes:
        """What runs, what waits, and how many streams were asked for, in Prometheus' text format."""
        values = (("running", "gauge", self.busy), ("waiting", "gauge", len(self.queue)))
        lines = [
            f"# TYPE mock:{name} {kind}\nmock:{name} {value}\n"
            for name, kind, value in (*values, ("streams_total", "counter", self.streamed))
        ]
        return "".join(lines).encode()

    def leave(self, connection: _Connection) -> None:
        if connection.began:
            self.busy -= 1
            if self.queue:
                self.admit(self.queue.popleft())
        elif connection in self.queue:
            self.queue.remove(connection)


class _Connection(asyncio.Protocol):
    """One client connection, one request at a time."""

    def __init__(self, shared: _Shared) -> None:
        self._shared = shared
        self._settings = shared.settings
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._admitted = False
        self.began = False
        self._reset()

    def _reset(self) -> None:
        self._parser: Any = httptools.HttpRequestParser(self)
        self._url = b""
        self._body: list[bytes] = []

    # event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's has no such base

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        self._leave()

    # HTTP parser

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        path, body = self._url.decode().partition("?")[0], b"".join(self._body)
        if path in ("/health", "/v1/health"):
            self._answer(200, {"status": "ok"})
        elif path == "/v1/models":
            self._answer(200, {"object": "list", "data": [{"id": n, "object": "model"} for n in self._settings.names]})
        elif path == "/metrics":
            self._send(200, "text/plain; version=0.0.4", self._shared.metrics_page())
        elif path in ("/v1/completions", "/v1/chat/completions"):
            self._complete(body, chat="chat" in path)
        else:
            self._answer(404, {"error": {"message": "no such path", "code": 404}})

    # answers

    def _complete(self, body: bytes, *, chat: bool) -> None:
        asked = json.loads(body)
        if self._shared.log is not None:
            self._shared.log.write(json.dumps(asked) + "\n")
            self._shared.log.flush()
        if self._settings.models and asked.get("model") not in self._settings.names:
            self._answer(404, {"error": {"message": f"no such model: {asked.get('model')}", "code": 404}})
            return
        prompt = asked.get("prompt", "")
        if isinstance(prompt, list) and self._settings.refuse_token_ids:
            self._answer(400, {"error": {"message": "prompt must be a string", "code": 400}})
            return
        self._prompt_tokens = self._count(asked["messages"] if chat else prompt, chat=chat)
        if 0 < self._settings.context_tokens < self._prompt_tokens:
            self._answer(400, {"error": {"message": "the prompt exceeds the context", "code": 400}})
            return
        self._tokens = self._settings.tokens if self._settings.ignore_length else asked.get("max_tokens", 16)
        self._chat = chat
        if asked.get("stream"):
            self._stream()
        else:
            self._answer(200, {"choices": [{"text": " a" * self._tokens, "finish_reason": "length"}], **self._usage()})

    def _count(self, prompt: Any, *, chat: bool) -> int:
        if chat:
            return _TEMPLATE_TOKENS + sum(self._count(message["content"], chat=False) for message in prompt)
        if isinstance(prompt, list):
            return len(prompt)
        return math.ceil(len(prompt) / self._settings.chars_per_token)

    def _usage(self) -> dict[str, Any]:
        count = {"prompt_tokens": self._prompt_tokens, "completion_tokens": self._tokens}
        return {"usage": {**count, "total_tokens": self._prompt_tokens + self._tokens}}

    def _stream(self) -> None:
        shared, settings = self._shared, self._settings
        shared.streamed += 1
        number = shared.streamed - settings.fault_after
        self._fault = settings.fault if number > 0 and number % settings.fault_every == 0 else ""
        if self._fault == "500":
            self._answer(500, {"error": {"message": "out of luck", "code": 500}})
        elif self._fault == "reset":
            self._close()
        else:
            self._admitted = True
            shared.admit(self)

    def begin(self) -> None:
        """A slot is free: the answer's clock starts."""
        self.began = True
        self._start_s = time.monotonic()
        self._sent = 0
        half = self._tokens // 2
        self._until = half if self._fault in ("cut", "hang", "short", "error") else self._tokens
        if self._fault == "short":
            self._tokens = half
        delta = {"delta": {"content": " a"}} if self._chat else {"text": " a"}
        self._token = _chunk(_event({"index": 0, **delta, "finish_reason": None}))
        self._write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        )
        if self._chat:
            self._write(_chunk(_event({"index": 0, "delta": {"role": "assistant"}, "finish_reason": None})))
        self._wait()

    def _wait(self) -> None:
        step = min(self._settings.tokens_per_chunk, self._until - self._sent)
        last = max(0, self._sent + step - 1)
        self._due_s = self._start_s + (self._settings.ttft_ms + last * self._settings.itl_ms) / 1000.0
        delay_s = max(0.0, self._due_s - time.monotonic())
        self._timer = self._shared.loop.call_later(delay_s, self._tick)

    def _tick(self) -> None:
        if time.monotonic() < self._due_s - _EARLY_S:
            self._timer = self._shared.loop.call_later(0.001, self._tick)
            return
        if self._sent < self._until:
            self._sent += min(self._settings.tokens_per_chunk, self._until - self._sent)
            self._write(self._token)
        if self._sent < self._until:
            self._wait()
        else:
            self._finish()

    def _finish(self) -> None:
        if self._fault == "hang":
            return
        if self._fault == "error":
            self._write(_chunk(b'data: {"error":{"message":"out of memory","code":500}}\n\n'))
        if self._fault not in ("cut", "error"):
            end: dict[str, object] = {"delta": {}} if self._chat else {"text": ""}
            usage = json.dumps({"choices": [], **self._usage()}).encode()
            self._write(
                _chunk(_event({"index": 0, **end, "finish_reason": "length"}))
                + _chunk(b"data: " + usage + b"\n\n")
                + _chunk(b"data: [DONE]\n\n")
                + b"0\r\n\r\n"
            )
        self._leave()
        self._close()

    def _leave(self) -> None:
        if self._admitted:
            self._admitted = False
            self._shared.leave(self)
            self.began = False

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(content).encode())

    def _send(self, status: int, kind: str, data: bytes) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n"
        self._write(head.encode() + b"Connection: close\r\n\r\n" + data)
        self._close()

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _event(choice: dict[str, Any]) -> bytes:
    frame = {"id": "cmpl-0", "object": "completion.chunk", "created": 0, "model": MODEL}
    return b"data: " + json.dumps({**frame, "choices": [choice], "usage": None}).encode() + b"\n\n"


def _chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def _serve(settings: MockSettings, *, watch_stdin: bool) -> None:
    loop = asyncio.get_running_loop()
    shared = _Shared(settings, loop)
    if settings.log:
        shared.log = open(settings.log, "a", encoding="utf-8")  # noqa: SIM115
    server = await loop.create_server(lambda: _Connection(shared), settings.host, settings.port, backlog=4096)
    port = server.sockets[0].getsockname()[1]
    sys.stdout.write(json.dumps({"port": port, "url": f"http://{settings.host}:{port}"}) + "\n")
    sys.stdout.flush()
    if watch_stdin:
        loop.add_reader(0, _end_at_eof)
    await asyncio.Event().wait()


def _end_at_eof() -> None:
    if not os.read(0, 4096):
        os._exit(0)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="A mock inference server with known times.")
    for option in fields(MockSettings):
        flag = "--" + option.name.replace("_", "-")
        if isinstance(option.default, bool):
            parser.add_argument(flag, action="store_true")
        else:
            parser.add_argument(flag, type=type(option.default), default=option.default)
    parser.add_argument("--core", type=int, help="pin the server to this CPU core")
    parser.add_argument("--watch-stdin", action="store_true", help="end at the end of stdin")
    given = vars(parser.parse_args(argv))
    core, watch_stdin = given.pop("core"), given.pop("watch_stdin")
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    work = _serve(MockSettings(**given), watch_stdin=watch_stdin)
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)
    else:
        uvloop.run(work)


if __name__ == "__main__":
    main()
