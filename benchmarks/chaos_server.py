"""The real llama.cpp server behind a proxy of its own process, which can be told to stop reading.

Takes llama-server's flags. On SIGUSR1 it goes on accepting connections and reads nothing from any of them again.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import autotuner.servers.llamacpp_server as real
from autotuner.servers.machine.ports import lease_port


def main() -> None:
    words = sys.argv[1:]
    host, port = words[words.index("--host") + 1], int(words[words.index("--port") + 1])
    behind = lease_port("127.0.0.1")
    words[words.index("--port") + 1] = str(behind.port)
    server = subprocess.Popen([sys.executable, "-P", str(Path(real.__file__)), *words])
    asyncio.run(serve(host, port, behind.port, server))


async def serve(host: str, port: int, behind: int, server: subprocess.Popen[bytes]) -> None:
    reads = asyncio.Event()
    reads.set()
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, reads.clear)

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reads.wait() and (data := await source.read(65536)):
                await reads.wait()
                sink.write(data)
                await sink.drain()
        sink.close()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reads.wait()
        try:
            answer, request = await asyncio.open_connection("127.0.0.1", behind)
        except OSError:
            writer.close()
            return
        await asyncio.gather(copy(reader, request), copy(answer, writer))

    async with await asyncio.start_server(pass_on, host, port):
        code = await asyncio.to_thread(server.wait)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
