"""What a line in a server's log says about why it failed. Pure."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from autotuner.engines.engine import FailureReport
from autotuner.errors import Failure

_MESSAGE_CHARS = 300


@dataclass(frozen=True)
class LogPattern:
    """``expression`` is searched for line by line; a found line becomes the message."""

    expression: str
    failure: Failure


def diagnose_log(patterns: Sequence[LogPattern], exit_code: int | None, log_tail: str) -> FailureReport:
    """The failure of the first pattern, in the order given, that a line of the log matches.

    Where none does: CRASH, told with the log's last line, or HANG for a server that still lives (``exit_code`` None).
    """
    lines = [line.strip() for line in log_tail.splitlines() if line.strip()]
    for pattern in patterns:
        for line in lines:
            if re.search(pattern.expression, line):
                return FailureReport(pattern.failure, line[:_MESSAGE_CHARS])
    if exit_code is None:
        return FailureReport(Failure.HANG, "the server lives but does not answer")
    last_words = f": {last_lines(log_tail)}" if lines else ""
    return FailureReport(Failure.CRASH, f"the server {describe_exit(exit_code)}{last_words}")


def last_lines(log_tail: str, count: int = 3) -> str:
    """The log's last words in one line, for a message."""
    lines = [line.strip() for line in log_tail.splitlines() if line.strip()]
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
