"""What a line in a server's log says about why it failed. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from autotuner.engines.engine import FailureReport
from autotuner.engines.logs.root_cause import root_cause
from autotuner.errors import Failure

_MESSAGE_CHARS = 300
# How a line starts that was logged below the level of an error; before it, the process that vLLM names.
_PROCESS = r"(?:\([^()]*\bpid=\d+\) ?)*"
_ASIDES = (
    r"(?:DEBUG|INFO|WARNING):",  # Python's logging, uvicorn
    r"[^:]+:\d+: \w*Warning: ",  # Python's warnings
    r"(?:\[rank\d+\]: ?)?\[[DIVW](?:\d{3,4})? ",  # PyTorch's: [W1012 22:31:22.26 socket.cpp:436]
    r"\S+:\d+:\d+ \[\d+\] NCCL INFO ",  # its WARN is what NCCL says of errors
)


@dataclass(frozen=True)
class LogPattern:
    """``expression`` is searched for line by line; a found line becomes the message.

    Asides (lines logged below the level of an error) do not count: a warning explains no end. ``in_asides``: they do.
    """

    expression: str
    failure: Failure
    in_asides: bool = False


# Said of a server by its launcher, of a container by the init that docker puts before it (krallin/tini, src/tini.c).
KILLED_FOR_MEMORY = "autotuner: the container was killed at its memory limit"
KILLED_BY_KERNEL = "autotuner: the kernel killed the server, for want of memory"  # the supervisor's words
_LAUNCHER = (
    LogPattern(f"^{re.escape(KILLED_FOR_MEMORY)}", Failure.OUT_OF_MEMORY_AT_START),
    LogPattern(f"^{re.escape(KILLED_BY_KERNEL)}", Failure.OUT_OF_MEMORY_AT_START),
    LogPattern(r"^\[FATAL tini \(\d+\)\] exec ", Failure.INVALID_CONFIG),
)


def diagnose_log(
    patterns: Sequence[LogPattern], exit_code: int | None, log: str, asides: Sequence[str] = ()
) -> FailureReport:
    """The failure of the first pattern, in the order given, that a line of the log matches.

    What the launcher says comes before them. Where none does, the innermost exception's own line says what: an error of
    values is INVALID_CONFIG, any other CRASH. Without one it is CRASH, told with the log's last lines, or HANG for a
    server that still lives (``exit_code`` None).
    ``asides`` say how lines start that the engine's own logger wrote below the level of an error.
    """
    lines = [line.rstrip() for line in log.splitlines() if line.strip()]
    aside = re.compile(f"{_PROCESS}(?:{'|'.join((*_ASIDES, *asides))})")
    serious = [line for line in lines if not aside.match(line.lstrip())]
    for pattern in (*_LAUNCHER, *patterns):
        expression = re.compile(pattern.expression)
        for line in map(str.strip, lines if pattern.in_asides else serious):
            if expression.search(line):
                return FailureReport(pattern.failure, line[:_MESSAGE_CHARS])
    if exit_code is None:
        return FailureReport(Failure.HANG, "the server lives but does not answer")
    ended = f"the server {describe_exit(exit_code)}"
    cause = root_cause(serious)
    if cause is None:
        return FailureReport(Failure.CRASH, f"{ended}: {last_lines(log)}" if lines else ended)
    if cause.is_of_values:
        return FailureReport(Failure.INVALID_CONFIG, cause.message[:_MESSAGE_CHARS])
    return FailureReport(Failure.CRASH, f"{ended}: {cause.message[:_MESSAGE_CHARS]}")


def last_lines(log: str, count: int = 3) -> str:
    """The log's last words in one line, for a message."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return " | ".join(line[:_MESSAGE_CHARS] for line in lines[-count:])


def describe_exit(exit_code: int) -> str:
    """An exit code in words; negative codes are signals."""
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = f"signal {-exit_code}"
    return f"was ended by {name}"
