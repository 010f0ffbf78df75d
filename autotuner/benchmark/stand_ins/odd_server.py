"""A server with one odd habit: ``python -m autotuner.benchmark.stand_ins.odd_server --mode one_chunk``.

Each mode is something that servers and the gateways before them were reported to do. What is made of it must be true:
the load driver and whole studies are tested against each. It prints ``{"port": …, "url": …}`` when it listens.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import json
import os
import ssl
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Any

from aiohttp import web

MODEL = "odd"


class Mode(StrEnum):
    """What is odd."""

    NOTHING = "nothing"
    DEAD = "dead"  # [DONE] at once, no text, a usage of 0 tokens
    DEAD_WITH_TOKENS = "dead_with_tokens"  # no text either, but a usage of all that was asked for
    DEAD_WITHOUT_USAGE = "dead_without_usage"
    ERROR_OBJECT = "error_object"  # {"object": "error", …} in a stream of status 200
    ERROR_IN_CHOICE = "error_in_choice"
    ERROR_EVENT = "error_event"  # an SSE event named error
    ERROR_IN_ONE_PIECE = "error_in_one_piece"  # status 200, a JSON error object, no stream
    NO_USAGE = "no_usage"  # neither streams nor plain answers tell token counts
    NO_STREAM_USAGE = "no_stream_usage"  # plain answers do
    ONE_CHUNK = "one_chunk"  # all tokens in one chunk at the end
    HIDDEN_REASONING = "hidden_reasoning"  # silence, then a burst; usage tells of reasoning tokens
    SHOWN_REASONING = "shown_reasoning"  # reasoning_content, then content
    STOPS_EARLY = "stops_early"  # ends answers after ``stop_at`` tokens, whatever was asked
    FINISHES = "finishes"  # with the finish reason ``finish``, half-way
    ONE_PIECE = "one_piece"  # JSON in place of a stream
    COMPRESSED = "compressed"  # a gzipped stream
    A_PAGE = "a_page"  # status 200 and some HTML, as from a log-in page
    REFUSES_STREAM_OPTIONS = "refuses_stream_options"
    WANTS_COMPLETION_TOKENS = "wants_completion_tokens"  # max_completion_tokens instead of max_tokens
    WARMING = "warming"  # status 503 for ``warming_s`` seconds


@dataclass(frozen=True)
class OddSettings:
    """``cert`` is a PEM file of certificate and key, which makes it https."""

    mode: str = Mode.NOTHING.value
    host: str = "127.0.0.1"
    port: int = 0
    ttft_ms: float = 20.0
    itl_ms: float = 5.0
    stop_at: int = 40
    reasoning: int = 32
    finish: str = "abort"
    warming_s: float = 1.0
    cert: str = ""


@dataclass(frozen=True)
class _Asked:
    """What a request asks for, as far as it matters."""

    chat: bool
    tokens: int
    prompt_tokens: int


class OddServer:
    """The handlers of one server."""

    def __init__(self, settings: OddSettings) -> None:
        self._settings = settings
        self._mode = Mode(settings.mode)
        self._started = time.monotonic()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/health", self._models)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_post("/v1/chat/completions", self._complete)
        return app

    async def _models(self, request: web.Request) -> web.StreamResponse:
        if self._is_warming():
            return _refusal(503, "the model is being loaded")
        return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model"}]})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        if self._is_warming():
            return _refusal(503, "the model is being loaded")
        if self._mode is Mode.REFUSES_STREAM_OPTIONS and "stream_options" in body:
            return _refusal(400, "Unrecognized request argument supplied: stream_options")
        if self._mode is Mode.WANTS_COMPLETION_TOKENS and "max_tokens" in body:
            return _refusal(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
        asked = self._read(body, chat="chat" in request.path)
        if not body.get("stream"):
            await asyncio.sleep((self._settings.ttft_ms + asked.tokens * self._settings.itl_ms) / 1000)
            return web.json_response(self._whole(asked))
        return await self._stream(request, asked)

    def _read(self, body: dict[str, Any], *, chat: bool) -> _Asked:
        prompt = " ".join(m["content"] for m in body["messages"]) if chat else body["prompt"]
        length = len(prompt.split()) if isinstance(prompt, str) else len(prompt)
        tokens = int(body.get("max_tokens", body.get("max_completion_tokens", 16)))
        if self._mode is Mode.STOPS_EARLY:
            tokens = min(tokens, self._settings.stop_at)
        return _Asked(chat, tokens, length)

    def _whole(self, asked: _Asked) -> dict[str, Any]:
        finish = "stop" if self._mode is Mode.STOPS_EARLY else "length"
        text = "a " * asked.tokens
        said: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if asked.chat else {"text": text}
        answer = {"object": "completion", "choices": [{"index": 0, **said, "finish_reason": finish}]}
        return answer if self._mode is Mode.NO_USAGE else {**answer, **self._usage(asked)}

    def _usage(self, asked: _Asked) -> dict[str, Any]:
        tokens = 0 if self._mode is Mode.DEAD else asked.tokens
        usage: dict[str, Any] = {"prompt_tokens": asked.prompt_tokens, "completion_tokens": tokens}
        if self._mode in (Mode.HIDDEN_REASONING, Mode.SHOWN_REASONING):
            usage["completion_tokens_details"] = {"reasoning_tokens": min(self._settings.reasoning, tokens)}
        return {"usage": usage}

    async def _stream(self, request: web.Request, asked: _Asked) -> web.StreamResponse:
        if self._mode is Mode.ONE_PIECE:
            return web.json_response(self._whole(asked))
        if self._mode is Mode.ERROR_IN_ONE_PIECE:
            return web.json_response({"error": {"message": "out of memory", "type": "server_error"}})
        if self._mode is Mode.A_PAGE:
            return web.Response(text="<html><title>Log in</title></html>", content_type="text/html")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        if self._mode is Mode.COMPRESSED:
            response.headers["Content-Encoding"] = "gzip"
        await response.prepare(request)
        with contextlib.suppress(ConnectionResetError):  # a client that has heard enough
            async for event in self._events(asked):
                data = event + b"\n\n"
                await response.write(gzip.compress(data) if self._mode is Mode.COMPRESSED else data)
            await response.write_eof()
        return response

    async def _events(self, asked: _Asked) -> AsyncIterator[bytes]:
        match self._mode:
            case Mode.DEAD | Mode.DEAD_WITH_TOKENS | Mode.DEAD_WITHOUT_USAGE:
                if self._mode is not Mode.DEAD_WITHOUT_USAGE:
                    yield _data({"choices": [], **self._usage(asked)})
            case Mode.ERROR_OBJECT:
                yield _data({"object": "error", "message": "the engine is dead", "code": 500})
            case Mode.ERROR_IN_CHOICE:
                yield _data({"choices": [{"index": 0, "text": "", "error": {"message": "the engine is dead"}}]})
            case Mode.ERROR_EVENT:
                yield b"event: error\n" + _data({"message": "the engine is dead"})
            case _:
                async for event in self._tokens(asked):
                    yield event
        yield b"data: [DONE]"

    async def _tokens(self, asked: _Asked) -> AsyncIterator[bytes]:
        settings, mode = self._settings, self._mode
        count = asked.tokens // 2 if mode is Mode.FINISHES else asked.tokens
        hidden = min(settings.reasoning, count) if mode is Mode.HIDDEN_REASONING else 0
        shown = min(settings.reasoning, count) if mode is Mode.SHOWN_REASONING else 0
        await asyncio.sleep(settings.ttft_ms / 1000)
        if mode is Mode.ONE_CHUNK:
            await asyncio.sleep((count - 1) * settings.itl_ms / 1000)
            yield _choice(asked, "a " * count)
        else:
            await asyncio.sleep(hidden * settings.itl_ms / 1000)
            for number in range(hidden, count):
                if number > hidden and not hidden:
                    await asyncio.sleep(settings.itl_ms / 1000)
                yield _choice(asked, "a ", reasoning=number < shown)
        yield _choice(asked, "", finish=self._finish())
        if mode not in (Mode.NO_USAGE, Mode.NO_STREAM_USAGE, Mode.REFUSES_STREAM_OPTIONS):
            yield _data({"choices": [], **self._usage(asked)})

    def _finish(self) -> str:
        match self._mode:
            case Mode.FINISHES:
                return self._settings.finish
            case Mode.STOPS_EARLY:
                return "stop"
            case _:
                return "length"

    def _is_warming(self) -> bool:
        return self._mode is Mode.WARMING and time.monotonic() - self._started < self._settings.warming_s


def _choice(asked: _Asked, text: str, *, reasoning: bool = False, finish: str | None = None) -> bytes:
    if asked.chat:
        said: dict[str, Any] = {"delta": {"reasoning_content" if reasoning else "content": text}}
    else:
        said = {"text": text}
    return _data({"object": "completion.chunk", "choices": [{"index": 0, **said, "finish_reason": finish}]})


def _data(event: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(event).encode()


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status)


async def _serve(settings: OddSettings, *, watch_stdin: bool) -> None:
    runner = web.AppRunner(OddServer(settings).app())
    await runner.setup()
    tls = None
    if settings.cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(settings.cert)
    site = web.TCPSite(runner, settings.host, settings.port, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    url = f"{'https' if tls else 'http'}://{settings.host}:{port}"
    sys.stdout.write(json.dumps({"port": port, "url": url}) + "\n")
    sys.stdout.flush()
    if watch_stdin:
        asyncio.get_running_loop().add_reader(0, _end_at_eof)
    await asyncio.Event().wait()


def _end_at_eof() -> None:
    if not os.read(0, 4096):
        os._exit(0)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="An inference server with one odd habit.")
    for option in fields(OddSettings):
        choices = [mode.value for mode in Mode] if option.name == "mode" else None
        flag = "--" + option.name.replace("_", "-")
        parser.add_argument(flag, type=type(option.default), default=option.default, choices=choices)
    parser.add_argument("--watch-stdin", action="store_true", help="end at the end of stdin")
    given = vars(parser.parse_args(argv))
    watch_stdin = given.pop("watch_stdin")
    asyncio.run(_serve(OddSettings(**given), watch_stdin=watch_stdin))


if __name__ == "__main__":
    main()
