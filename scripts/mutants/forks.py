"""Runs tests in forks of this process, in which what others made is imported already and nothing of ours is."""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import pytest

Job = TypeVar("Job")
OURS = ("autotuner", "tests")
_POLL_S = 0.02
# No cache and no cached examples: one mutant's findings would be tried on the next. No thread may be there at a fork.
_ARGUMENTS = ("-q", "--no-header", "-p", "no:cacheprovider", "-p", "no:faulthandler", "--hypothesis-seed=0")


def warm_up(modules: Sequence[str]) -> None:
    """Imports what tests need of others. Raises RuntimeError where that would bring something of ours."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in modules:
        with contextlib.suppress(ImportError):  # an extra that is not installed
            importlib.import_module(name)
    ours = sorted(name for name in sys.modules if name.partition(".")[0] in OURS)
    if ours:
        raise RuntimeError(f"imported before the fork, so that its mutants would not be seen: {', '.join(ours[:5])}")


@dataclass(frozen=True)
class Ended:
    """``code``: what pytest returned; ``None`` for a fork that was ended at its time limit."""

    code: int | None
    seconds: float
    output: Path


class QuickExamples:
    """Hypothesis neither shrinks what it found nor remembers it: that it found something is enough."""

    def pytest_configure(self) -> None:
        from hypothesis import Phase, settings

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutants", settings(), database=None, phases=phases, print_blob=False)
        settings.load_profile("mutants")


def run_pytest(arguments: Sequence[str], plugins: Sequence[object]) -> int:
    return int(pytest.main([*_ARGUMENTS, *arguments], plugins=[QuickExamples(), *plugins]))


@dataclass
class _Fork:
    pid: int
    began: float
    limit_s: float
    output: Path


def run_forks(
    jobs: Sequence[Job], work: Callable[[Job], int], limit_s: Callable[[Job], float], at_once: int, folder: Path
) -> Iterator[tuple[Job, Ended]]:
    """``work`` of each job in a fork of its own, ``at_once`` of them; yields jobs as they end."""
    waiting = list(enumerate(jobs))[::-1]
    running: dict[int, tuple[Job, _Fork]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                number, job = waiting.pop()
                fork = _start(job, work, limit_s(job), folder / f"{number}.log")
                running[fork.pid] = (job, fork)
            time.sleep(_POLL_S)
            for pid, (job, fork) in list(running.items()):
                ended = _ended(fork)
                if ended is not None:
                    del running[pid]
                    yield job, ended
    finally:
        for _, fork in running.values():
            _kill(fork.pid)


def _start(job: Any, work: Callable[[Any], int], limit_s: float, output: Path) -> _Fork:
    pid = os.fork()
    if pid == 0:
        _work(job, work, output)
    return _Fork(pid, time.monotonic(), limit_s, output)


def _work(job: Any, work: Callable[[Any], int], output: Path) -> NoReturn:
    code = 3
    try:
        os.setsid()  # so that whatever a test started goes with it
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        target = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(target, 1)
        os.dup2(target, 2)
        code = work(job)
        sys.stdout.flush()
    finally:
        os._exit(code)


def _ended(fork: _Fork) -> Ended | None:
    pid, status = os.waitpid(fork.pid, os.WNOHANG)
    seconds = time.monotonic() - fork.began
    if pid:
        return Ended(os.waitstatus_to_exitcode(status), seconds, fork.output)
    if seconds > fork.limit_s:
        _kill(fork.pid)
        return Ended(None, seconds, fork.output)
    return None


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
