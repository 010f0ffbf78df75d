"""Stands in for llama-server: takes its --host and --port, and fails as the variable FAULT says.

``dies``, ``refuses``, ``never_ready``: it does not come up. ``crash``, ``exhausted``: it ends as soon as more than
a few requests are answered at a time. ``500``, ``cut``, ``hang``: each streamed answer fails so; ``flaky``: every
second one. ``odd:MODE``: it has that habit of ``autotuner.benchmark.stand_ins.odd_server``. Otherwise it answers
well; TTFT_MS sets its time to the first token, and one that ``lingers`` takes two seconds to end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.server
import os
import signal
import subprocess
import sys
import time
from typing import NoReturn

_MOST_CONNECTIONS = 5
_LAST_WORDS = {
    "dies": ("llama_model_loader: the tensor blk.7 is cut short", 7),
    "refuses": ("error: invalid argument: --warp-speed", 1),
    "crash": ("srv update_slots: an assertion does not hold", 134),
    "exhausted": ("ggml_backend_alloc: failed to allocate buffer of size 1073741824", 1),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", required=True, type=int)
    given, _ = parser.parse_known_args()
    fault = os.environ.get("FAULT", "")
    if fault in ("dies", "refuses"):
        for number in range(40):
            sys.stderr.write(f"llama_model_loader: tensor {number}\n")
        die(fault)
    elif fault == "never_ready":
        http.server.HTTPServer((given.host, given.port), Loading).serve_forever()
    elif fault == "lingers":
        signal.signal(signal.SIGTERM, linger)
        subprocess.run([sys.executable, __file__, *sys.argv[1:]], env={**os.environ, "FAULT": ""}, check=False)
        signal.pause()
    elif fault.startswith("odd:"):
        run("odd_server", "--mode", fault.removeprefix("odd:"), "--host", given.host, "--port", str(given.port))
    elif fault in ("crash", "exhausted"):
        asyncio.run(serve_a_few(given.host, given.port, fault))
    else:
        pace = ["--ttft-ms", os.environ.get("TTFT_MS", "500"), "--itl-ms", "5"]
        every = "2" if fault == "flaky" else "1"
        kind = "500" if fault == "flaky" else fault
        listen = ["--host", given.host, "--port", str(given.port)]
        run("mock_server", *listen, *pace, "--fault", kind, "--fault-every", every)


def die(fault: str) -> NoReturn:
    words, code = _LAST_WORDS[fault]
    sys.stderr.write(words + "\n")
    sys.stderr.flush()
    os._exit(code)


def linger(*_: object) -> NoReturn:
    time.sleep(2.0)
    sys.exit()


def run(server: str, *options: str) -> NoReturn:
    os.execv(sys.executable, [sys.executable, "-m", f"autotuner.benchmark.stand_ins.{server}", *options])


class Loading(http.server.BaseHTTPRequestHandler):
    """As llama-server answers while it loads its model."""

    def do_GET(self) -> None:
        self.send_error(503, "Loading model")


async def serve_a_few(host: str, port: int, fault: str) -> None:
    """Passes connections on to a mock server, and dies when there are too many."""
    from urllib.parse import urlsplit

    from autotuner.benchmark.stand_ins.mock_process import mock_server

    open_connections = 0
    with mock_server(ttft_ms=500, itl_ms=5) as url:
        behind = urlsplit(url)

        async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal open_connections
            open_connections += 1
            if open_connections > _MOST_CONNECTIONS:
                die(fault)
            answer, request = await asyncio.open_connection(behind.hostname, behind.port)
            await asyncio.gather(copy(reader, request), copy(answer, writer))
            open_connections -= 1

        server = await asyncio.start_server(pass_on, host, port)
        await server.serve_forever()


async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
        sink.close()


if __name__ == "__main__":
    main()
