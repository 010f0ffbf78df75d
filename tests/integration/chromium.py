"""A headless Chromium behind its DevTools protocol: opens a page and tells what it did."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--remote-debugging-port=0",
)
_TROUBLE = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")


@dataclass
class Page:
    """What a page did: every request but its own file, every console message and error, answers to expressions."""

    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    answers: list[Any] = field(default_factory=list)
    screenshot: bytes = b""


def open_page(file: Path, ready: str, expressions: list[str], *, dark: bool = False, screenshot: bool = False) -> Page:
    """Opens ``file``, waits until the expression ``ready`` holds, then evaluates ``expressions`` in turn."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            ["chromium", *_FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            return asyncio.run(_visit(_endpoint(process), file, ready, expressions, dark, screenshot))
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stderr is not None:
                process.stderr.close()


def _endpoint(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        found = re.search(r"ws://127\.0\.0\.1:(\d+)/", line)
        if found:
            return f"http://127.0.0.1:{found[1]}"
    raise RuntimeError("chromium did not start: " + "".join(lines))


async def _visit(endpoint: str, file: Path, ready: str, expressions: list[str], dark: bool, screenshot: bool) -> Page:
    page, url = Page(), file.absolute().as_uri()
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{endpoint}/json/list") as answer:
            tabs = [t for t in json.loads(await answer.text()) if t["type"] == "page"]
        async with session.ws_connect(tabs[0]["webSocketDebuggerUrl"], max_msg_size=2**28) as socket:
            tab = _Tab(socket, lambda event: _note(event, page, url))
            for domain in ("Page", "Network", "Runtime", "Log"):
                await tab.call(f"{domain}.enable")
            size = {"width": 1280, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            await tab.call("Emulation.setDeviceMetricsOverride", **size)
            scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
            await tab.call("Emulation.setEmulatedMedia", features=scheme)
            await tab.call("Page.navigate", url=url)
            await tab.until(ready)
            page.answers = [await tab.evaluate(expression) for expression in expressions]
            if screenshot:
                shot = await tab.call("Page.captureScreenshot", captureBeyondViewport=True, **await _whole(tab))
                page.screenshot = base64.b64decode(shot["data"])
    return page


async def _whole(tab: _Tab) -> dict[str, Any]:
    height = await tab.evaluate("document.documentElement.scrollHeight")
    return {"clip": {"x": 0, "y": 0, "width": 1280, "height": height, "scale": 1}}


def _note(event: dict[str, Any], page: Page, url: str) -> None:
    method, params = event["method"], event.get("params", {})
    if method == "Network.requestWillBeSent":
        asked = str(params["request"]["url"])
        if asked != url and not asked.startswith("data:"):
            page.requests.append(asked)
    elif method in _TROUBLE:
        page.console.append(json.dumps(params)[:500])


class _Tab:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse, on_event: Callable[[dict[str, Any]], None]) -> None:
        self._socket = socket
        self._on_event = on_event
        self._last = 0

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        self._last += 1
        await self._socket.send_json({"id": self._last, "method": method, "params": params})
        while True:
            message = await self._socket.receive_json(timeout=60)
            if message.get("id") == self._last:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result
            if "method" in message:
                self._on_event(message)

    async def evaluate(self, expression: str) -> Any:
        answer = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    async def until(self, expression: str, deadline_s: float = 60.0) -> None:
        async with asyncio.timeout(deadline_s):
            while not await self.evaluate(expression):
                await asyncio.sleep(0.1)
