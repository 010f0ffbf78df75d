"""Runs a command beside two processes that only compute, which end with it: ``beside_spinning.py COMMAND…``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

SPINNING = 2


def main(command: list[str]) -> int:
    """The command's exit code. Ctrl-C reaches the command as well, whose end is waited for."""
    with spinning(SPINNING), subprocess.Popen(command) as running:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: pass_on(running, number))
        return running.wait()


def pass_on(running: subprocess.Popen[bytes], number: int) -> None:
    """The terminal has sent Ctrl-C to the command too; what ends this process alone is passed on."""
    if number != signal.SIGINT:
        running.send_signal(number)


@contextlib.contextmanager
def spinning(count: int) -> Iterator[None]:
    """Each ends by itself when this process is gone, however that ended."""
    code = "import os, sys\nwhile os.getppid() == int(sys.argv[1]): pass"
    processes = [
        subprocess.Popen([sys.executable, "-S", "-c", code, str(os.getpid())], start_new_session=True)
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
