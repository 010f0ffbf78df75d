"""The trial's side of a supervisor: starts it, hears what it tells, has it end everything."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from autotuner.errors import ServerLostError
from autotuner.servers.supervision.tags import LAUNCH, kill_processes_with

GRACE_S = 5.0
# Beyond the supervisor's own grace and kill deadlines, after which it is killed itself.
_STOP_DEADLINE_S = 45.0


@dataclass(frozen=True)
class RankProcess:
    """One process to start, fully bound. ``cores`` empty: not pinned."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    log: Path
    cores: tuple[int, ...] = ()


class Supervision:
    """Owns one supervisor. ``stop`` must be called; should the trial die first, the supervisor sees that."""

    def __init__(
        self,
        ranks: Sequence[RankProcess],
        *,
        launch_id: str,
        env: Mapping[str, str],
        log: Path,
        inherit_fds: Sequence[int] = (),
        grace_s: float = GRACE_S,
    ) -> None:
        """Starts the supervisor and through it the ranks.

        ``env`` is the supervisor's own, with the tags; ``log`` takes its stderr, and goes if that stays empty.
        """
        self._log = log
        # Launch ids are a study's own: another study on this machine has a launch of the same name.
        self._tag = f"{launch_id}/{uuid.uuid4().hex}"
        self._exit_code: int | None = None
        self._error = ""
        self._lost = ""
        self._is_told_to_stop = False
        self._unread = b""
        script = str(Path(__file__).with_name("supervisor.py"))
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", script, *(str(fd) for fd in inherit_fds)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env={**env, LAUNCH: self._tag},
                pass_fds=tuple(inherit_fds),
                start_new_session=True,  # a Ctrl-C is the driver's to act on
            )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._send({"ranks": [self._as_command(rank) for rank in ranks], "parent": os.getpid(), "grace_s": grace_s})

    @property
    def error(self) -> str:
        """Why a rank could not even be executed, for its command's sake; empty when all could."""
        self._hear()
        return self._error

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def exit_code(self) -> int | None:
        """Of the first rank that ended (negative: signal); ``None``: all live. After ``stop``, the supervisor's.

        Raises ServerLostError when it was the supervisor that was ended, when the node could not start a rank, or one
        ended with no room left for its log.
        """
        self._hear()
        if self._lost:
            raise ServerLostError(self._lost)
        if self._exit_code is None and not self.is_alive:
            self._hear()  # what it said last
            if self._exit_code is None and self._is_told_to_stop:
                return self._process.returncode
            if self._exit_code is None:
                raise ServerLostError("the server's supervisor was ended from outside, and the server with it")
        return self._exit_code

    def pids(self) -> list[int]:
        """The supervisor's descendants: the ranks and whatever they started."""
        try:
            return [child.pid for child in psutil.Process(self._process.pid).children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> list[int]:
        """Ends every descendant; returns the pids of what not even SIGKILL ended. Idempotent.

        The supervisor does it. What it may have left, having been killed itself, is found by its tag.
        """
        self._is_told_to_stop = True
        self._send({"stop": True})
        with contextlib.suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(_STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._hear()
        if self._process.stdout is not None:
            self._process.stdout.close()
        with contextlib.suppress(OSError):
            if self._log.stat().st_size == 0:
                self._log.unlink()
        return [process.pid for process in kill_processes_with(LAUNCH, self._tag)]

    def _as_command(self, rank: RankProcess) -> dict[str, Any]:
        return {
            "argv": rank.argv,
            "env": {**rank.env, LAUNCH: self._tag},
            "cwd": str(rank.cwd),
            "log": str(rank.log),
            "cores": rank.cores,
        }

    def _send(self, command: Mapping[str, Any]) -> None:
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            return
        with contextlib.suppress(BrokenPipeError):
            stdin.write(json.dumps(command).encode() + b"\n")
            stdin.flush()

    def _hear(self) -> None:
        """Takes in what the supervisor has said by now; never waits."""
        stdout = self._process.stdout
        if stdout is None or stdout.closed:
            return
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(stdout.fileno(), 65536):
                self._unread += chunk
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            self._on_event(json.loads(line))

    def _on_event(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "failed" and event["by_node"]:
            self._lost = f"this node could not start the server: {event['error']}"
        elif event["event"] == "failed":
            self._error = self._error or str(event["error"])
            self._exit_code = 127 if self._exit_code is None else self._exit_code  # the shell's "command not found"
        elif event["event"] == "ended" and self._exit_code is None:
            self._exit_code = int(event["exit_code"])
            if event["log_is_full"]:
                self._lost = f"the server ended with exit code {self._exit_code}, with no room left for its log"
