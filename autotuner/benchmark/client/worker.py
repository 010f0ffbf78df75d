"""A worker process of the load driver: ``python -m autotuner.benchmark.client.worker [--core N]``.

It speaks the lines of ``wire.py`` on stdin and stdout, stays between load points and ends at the end
of its stdin, so that nothing is left however the driver dies.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import signal
import sys
from typing import Any

from autotuner.benchmark.client.connector import Address, Connector
from autotuner.benchmark.client.point import PointRun
from autotuner.benchmark.client.tickets import TicketOffice
from autotuner.benchmark.client.wire import ClientSpec, Job, decode, encode
from autotuner.benchmark.traffic.mix import open_mix
from autotuner.benchmark.traffic.prompts import PromptWriter
from autotuner.errors import WorkloadError

_LINE_LIMIT_BYTES = 2**26


class Worker:
    """Takes the driver's messages one after another; ``stop`` alone is heard while a point runs."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self._point: PointRun | None = None

    async def serve(self) -> None:
        hearing = asyncio.create_task(self._hear())
        try:
            spec = ClientSpec.from_json(await self._next("spec"))
            connector = Connector(
                tuple(Address.of(url, insecure=spec.insecure) for url in spec.urls), spec.request_timeout_s
            )
            mix = open_mix(spec.sources, spec.seed)
            writer = PromptWriter(mix, spec.sizing, spec.seed, spec.cold, spec.shared_prefix_tokens, spec.spans)
            office = TicketOffice(spec, writer, connector)
            _say("ready")
            while True:
                job = Job.from_json(await self._next("job"))
                self._point = PointRun(job, office, connector, forced=spec.forces_length)
                _say("ready")
                await self._run(self._point)
        except (WorkloadError, OSError) as error:
            _say("error", {"type": type(error).__name__, "message": str(error)})
        finally:
            hearing.cancel()

    async def _run(self, point: PointRun) -> None:
        go = await self._next("go")
        gc.collect()
        gc.freeze()
        gc.disable()  # a collection would stop the clock for milliseconds
        try:
            result = await point.run(*(float(go[key]) for key in ("start_s", "deadline_s", "allowed_s")))
        finally:
            gc.enable()
            gc.unfreeze()
        self._point = None
        _say("result", result.to_json())

    async def _next(self, kind: str) -> dict[str, Any]:
        while True:
            got, content = await self._messages.get()
            if got == kind:
                return content

    async def _hear(self) -> None:
        reader = asyncio.StreamReader(limit=_LINE_LIMIT_BYTES)
        loop = asyncio.get_running_loop()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
        while line := await reader.readline():
            kind, content = decode(line)
            if kind == "stop" and self._point is not None:
                self._point.stop(str(content["reason"]))
            else:
                self._messages.put_nowait((kind, content))
        os._exit(0)  # the driver is gone: there is no one to tell anything


def _say(kind: str, content: dict[str, Any] | None = None) -> None:
    sys.stdout.buffer.write(encode(kind, content))
    sys.stdout.buffer.flush()


def _raise_file_limit() -> None:
    """As many connections as the system lets a process have."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--core", type=int)
    core = parser.parse_args(argv).core
    if core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {core})
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's to handle; it then closes our stdin
    _raise_file_limit()
    try:
        import uvloop
    except ImportError:
        asyncio.run(Worker().serve())
    else:
        uvloop.run(Worker().serve())


if __name__ == "__main__":
    main()
