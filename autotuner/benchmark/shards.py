"""The worker processes of a load driver, started, spoken to and ended together."""

from __future__ import annotations

import contextlib
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from autotuner.benchmark.client.wire import decode, encode
from autotuner.errors import InfrastructureError, WorkloadError

_EXIT_S = 2.0


class Shards:
    """One worker process a core, each with a pipe either way. ``close`` is idempotent."""

    def __init__(self, cores: Sequence[int]) -> None:
        places = [["--core", str(core)] for core in cores] or [[]]
        command = [sys.executable, "-m", "autotuner.benchmark.client.worker"]
        self._workers = [
            subprocess.Popen([*command, *place], stdin=subprocess.PIPE, stdout=subprocess.PIPE) for place in places
        ]
        self._rests = [b""] * len(self._workers)

    def __len__(self) -> int:
        return len(self._workers)

    def send(self, number: int, kind: str, content: Mapping[str, Any]) -> None:
        """Raises InfrastructureError when the worker is gone."""
        pipe = self._workers[number].stdin
        assert pipe is not None
        try:
            pipe.write(encode(kind, content))
            pipe.flush()
        except OSError as error:
            raise self._gone(number) from error

    def collect(self, kind: str, numbers: Sequence[int], timeout_s: float) -> Iterator[tuple[int, dict[str, Any]]]:
        """One message of ``kind`` from each of the workers ``numbers``, as they come.

        Raises WorkloadError when a worker refuses the workload, InfrastructureError when one dies, can't
        reach its target's host, or says nothing for ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            for number in numbers:
                selector.register(self._stdout(number), selectors.EVENT_READ, number)
            left = set(numbers)
            while left:
                ready = selector.select(max(0.0, deadline - time.monotonic()))
                if not ready:
                    raise InfrastructureError(f"a load driver process did not answer within {timeout_s:.0f} s")
                for key, _ in ready:
                    line = self._read_line(key.data)
                    if line is not None:
                        selector.unregister(key.fileobj)
                        left.discard(key.data)
                        yield key.data, _content(kind, line)

    def close(self) -> None:
        """Ends every worker: at the end of its stdin, or by a kill when it does not heed that."""
        for worker in self._workers:
            if worker.stdin is not None:
                with contextlib.suppress(OSError):
                    worker.stdin.close()
        deadline = time.monotonic() + _EXIT_S
        for worker in self._workers:
            try:
                worker.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            if worker.stdout is not None:
                worker.stdout.close()

    def _read_line(self, number: int) -> bytes | None:
        """The worker's next line, or ``None`` while it is incomplete."""
        data = self._stdout(number).read1(2**20)  # type: ignore[attr-defined]
        if not data:
            raise self._gone(number)
        self._rests[number] += data
        line, end, rest = self._rests[number].partition(b"\n")
        if not end:
            return None
        self._rests[number] = rest
        return bytes(line)

    def _stdout(self, number: int) -> IO[bytes]:
        pipe = self._workers[number].stdout
        assert pipe is not None
        return pipe

    def _gone(self, number: int) -> InfrastructureError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._workers[number].wait(_EXIT_S)
        return InfrastructureError(
            f"a load driver process ended (exit code {self._workers[number].returncode}); its errors are above"
        )


def _content(expected: str, line: bytes) -> dict[str, Any]:
    kind, content = decode(line)
    if kind == "error":
        error = WorkloadError if content["type"] == WorkloadError.__name__ else InfrastructureError
        raise error(content["message"])
    if kind != expected:
        raise InfrastructureError(f"a load driver process said {kind} instead of {expected}")
    return content
