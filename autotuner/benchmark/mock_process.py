"""A mock server in a process of its own, as a context manager."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_EXIT_S = 5.0


@contextmanager
def mock_server(*, core: int | None = None, **settings: object) -> Iterator[str]:
    """Runs ``autotuner.benchmark.mock_server`` with these ``MockSettings``; gives its base URL.

    The server ends with the context, and with this process however that dies.
    """
    command = [sys.executable, "-m", "autotuner.benchmark.mock_server", "--watch-stdin"]
    if core is not None:
        command += ["--core", str(core)]
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
