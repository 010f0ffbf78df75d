"""Joins the ranks of a server on several nodes to one MPI job, without a remote shell. Stdlib only, run by path.

    mpi_ranks.py lead HOST PORT NODES PROCESSES COMMAND…   on the first node: mpirun, over NODES nodes
    mpi_ranks.py join HOST PORT RANK                       on each further one
    mpi_ranks.py agent SOCKET NODE COMMAND…                what mpirun calls in place of ssh

Open MPI starts a daemon (orted) on each node by a remote shell, which can be another program (its parameter
plm_rsh_agent). Here each further rank holds a connection to the leader, over which the command comes that ssh would
have been given; the daemon and the MPI processes below it are that rank's children, in its environment, with its
GPUs, and end with it.

    mpirun ──▶ agent ──(unix socket)──▶ lead ──(HOST:PORT)──▶ join ──▶ orted ──▶ PROCESSES of the COMMAND

The leader's exit code is mpirun's, a rank's that of what it ran. Either ends when the other is gone.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any, TextIO

_RETRY_S = 0.2
_LOST = 1


class Line:
    """One JSON object a line, both ways."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader: TextIO = connection.makefile("r", encoding="utf-8")

    def send(self, **values: Any) -> None:
        self._connection.sendall(json.dumps(values).encode() + b"\n")

    def hear(self) -> dict[str, Any] | None:
        """``None``: the other end is gone."""
        try:
            heard = self._reader.readline()
        except OSError:
            return None
        return json.loads(heard) if heard.endswith("\n") else None


def join(host: str, port: str, rank: str) -> int:
    line = Line(_connect(host, int(port)))
    line.send(rank=int(rank))
    order = line.hear()
    if order is None:
        _say("the first rank is gone")
        return _LOST
    process = subprocess.Popen(["/bin/sh", "-c", order["command"]], start_new_session=True)
    threading.Thread(target=_end_with, args=(line, process), daemon=True).start()
    code = process.wait()
    line.send(exit=code)
    return _exit_code(code)


def _connect(host: str, port: int) -> socket.socket:
    """As long as it takes: who started this rank knows when to give up."""
    while True:
        try:
            return socket.create_connection((host, port))
        except OSError:
            time.sleep(_RETRY_S)


def _end_with(line: Line, process: subprocess.Popen[bytes]) -> None:
    """Ends the process when the leader does."""
    while line.hear() is not None:
        pass
    os.killpg(process.pid, signal.SIGKILL)


class Leader:
    """The connections to the further ranks, by the names that mpirun knows their nodes by."""

    def __init__(self) -> None:
        self._lines: dict[str, Line] = {}

    def meet(self, host: str, port: int, nodes: int) -> list[str]:
        """Waits for every further rank; returns the names of their nodes, in their order."""
        with socket.create_server((host, port), backlog=nodes) as listening:
            while len(self._lines) < nodes - 1:
                line = Line(listening.accept()[0])
                told = line.hear()
                if told is not None:
                    _say(f"rank {told['rank']} has come")
                    self._lines[_node(told["rank"])] = line
        return [_node(rank) for rank in range(1, nodes)]

    def serve(self, listening: socket.socket) -> None:
        """Passes on what mpirun asks of the nodes."""
        while True:
            asked = Line(listening.accept()[0])
            threading.Thread(target=self._pass_on, args=(asked,), daemon=True).start()

    def _pass_on(self, asked: Line) -> None:
        order = asked.hear()
        if order is None:
            return
        line = self._lines[order["node"]]
        line.send(command=order["command"])
        with contextlib.suppress(BrokenPipeError):  # mpirun gave up meanwhile, and its agents with it
            asked.send(**(line.hear() or {"exit": _LOST}))


def lead(host: str, port: str, nodes: str, processes: str, *command: str) -> int:
    leader = Leader()
    others = leader.meet(host, int(port), int(nodes))
    with tempfile.TemporaryDirectory() as folder:  # this user's alone: what comes in there is run on the nodes
        path = os.path.join(folder, "agent")
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(path)
        listening.listen()
        threading.Thread(target=leader.serve, args=(listening,), daemon=True).start()
        hosts = ",".join(f"{name}:{processes}" for name in ("localhost", *others))
        words = [
            *("--allow-run-as-root", "--leave-session-attached", "--host", hosts),
            *("--mca", "plm_rsh_agent", f"{sys.executable} {os.path.abspath(__file__)} agent {path}"),
            *("--mca", "rtc_hwloc_vmhole", "none"),  # daemons that share their topology crash now and then (4.1.4)
            *("--mca", "plm_rsh_no_tree_spawn", "1", "-np", str(int(nodes) * int(processes))),
        ]
        code = subprocess.call(["mpirun", *words, *command])
    return _exit_code(code)


def agent(path: str, node: str, *command: str) -> int:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(path)
    line = Line(connection)
    line.send(node=node, command=" ".join(command))
    return int((line.hear() or {"exit": _LOST})["exit"])


def _exit_code(code: int) -> int:
    """As a shell tells of a process that a signal ended."""
    return code if code >= 0 else 128 - code


def _node(rank: int) -> str:
    return f"rank{rank}"


def _say(message: str) -> None:
    sys.stderr.write(message + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    commands: dict[str, Callable[..., int]] = {"lead": lead, "join": join, "agent": agent}
    sys.exit(commands[sys.argv[1]](*sys.argv[2:]))
