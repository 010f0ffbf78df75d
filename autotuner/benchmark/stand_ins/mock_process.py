"""A mock or an odd server in a process of its own, as a context manager."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_EXIT_S = 5.0


@contextmanager
def mock_server(*, core: int | None = None, **settings: object) -> Iterator[str]:
    """Runs ``autotuner.benchmark.stand_ins.mock_server`` with these ``MockSettings``; gives its base URL.

    The server ends with the context, and with this process however that dies.
    """
    pinned = {} if core is None else {"core": core}
    with _server("mock_server", {**pinned, **settings}) as url:
        yield url


@contextmanager
def odd_server(mode: str, **settings: object) -> Iterator[str]:
    """As ``mock_server``: ``autotuner.benchmark.stand_ins.odd_server`` with these ``OddSettings``."""
    with _server("odd_server", {"mode": mode, **settings}) as url:
        yield url


@contextmanager
def _server(module: str, settings: dict[str, object]) -> Iterator[str]:
    command = [sys.executable, "-m", f"autotuner.benchmark.stand_ins.{module}", "--watch-stdin"]
    for name, value in settings.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            command.append(flag)
        elif value is not False:
            command += [flag, str(value)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.stdin.close()
        try:
            process.wait(_EXIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
