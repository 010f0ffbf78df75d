"""Owns the processes of one launch, so that none outlives its trial. Stdlib only, started by path.

The trial holds the other ends of two pipes: commands come in on stdin, events go out on stdout, one JSON
object a line. The first command is the launch itself::

    {"ranks": [{"argv": […], "env": {…}, "cwd": "…", "log": "…", "cores": [0, 1]}], "parent": 4711, "grace_s": 5}

after which ``{"stop": true}``, the end of stdin, the death of the parent, SIGTERM, SIGINT or SIGHUP ends
everything, and so does the end of any rank: ranks live or die together. Events: ``{"event": "started",
"rank": 0, "pid": 4712}``, ``{"event": "failed", "rank": 0, "error": "…", "by_node": false}`` (could not be
executed, for the node's sake or the command's), ``{"event": "ended", "rank": 0, "exit_code": -9,
"log_is_full": false}`` (before anything asked for it; with no room left for its log it may have ended for
that), and at last ``{"event": "gone", "stuck": []}``.

How every descendant is found, sessions of their own or not: the supervisor is a child subreaper
(prctl(2), PR_SET_CHILD_SUBREAPER), so that an orphan becomes its child instead of init's, and it walks
/proc until it has no descendant left. Its direct children ask for SIGKILL at its own death
(PR_SET_PDEATHSIG: set here, in the only thread there is, since the signal follows the thread).

It is two processes, each of which ends everything when the other is killed: the trial's child is a guardian,
a subreaper too, that only waits for the supervisor proper. Ray, for one, kills the children of a worker that
exits, and a supervisor alone would leave its orphans to init.

File descriptors handed to it stay open in it and in the ranks: locks on cores and ports hold until all
of them are gone.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
KILL_DEADLINE_S = 30.0
POLL_S = 0.02
OOM_KILLS = "/proc/vmstat"  # where the kernel counts those that it has killed for want of memory
KILLED_BY_KERNEL = "autotuner: the kernel killed the server, for want of memory"  # engines.log_pattern looks for it
LEAST_FREE_BYTES = 65536  # of a file system on which a log can still be written
# What execve(2) finds wrong with a command; all else is the node's: no memory, no more processes or files, a full disk.
OF_THE_COMMAND = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.E2BIG, errno.ELOOP}
)
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_libc = ctypes.CDLL(None, use_errno=True)


def become_subreaper() -> None:
    if _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def descendants(root: int) -> list[int]:
    """Every process below ``root`` that still runs, by /proc; fields as in proc_pid_stat(5)."""
    children: dict[int, list[int]] = {}
    ended = set()
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # it ended meanwhile
        state, parent, threads = fields[0], int(fields[1]), int(fields[17])
        children.setdefault(parent, []).append(int(entry))
        if state in (b"Z", b"X") and threads <= 1:  # a dead main thread leaves a zombie whose others run on
            ended.add(int(entry))
    found, waiting = [], [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return [pid for pid in found if pid not in ended]


def signal_all(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def ended_children() -> Iterator[tuple[int, int]]:
    """Pid and status of every child that has ended, adopted ones too; collects them."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            yield ended


def wait_until_gone(patience_s: float, reap: Callable[[], None], *, insist: bool) -> list[int]:
    """The descendants still there after ``patience_s`` seconds, each sent SIGKILL all along if ``insist``."""
    deadline = time.monotonic() + patience_s
    while True:
        reap()
        left = descendants(os.getpid())
        if not left or time.monotonic() > deadline:
            return left
        if insist:
            signal_all(left, signal.SIGKILL)
        time.sleep(POLL_S)


def watch_parent(pid: int) -> list[int]:
    """A descriptor that gets readable when the parent, which is to be ``pid``, ends, whoever else holds its pipe.

    None on an old kernel: there the pipe alone has to tell. Raises ProcessLookupError when it has ended already.
    """
    watched = []
    with contextlib.suppress(OSError):
        watched.append(os.pidfd_open(pid))
    if os.getppid() != pid:
        raise ProcessLookupError(pid)
    return watched


def guard(supervisor: int) -> None:
    """Waits for the supervisor, kills what it left, if anything, and ends as it did."""
    for number in STOP_SIGNALS:
        signal.signal(number, lambda number, _: signal_all([supervisor], number))
    _, status = os.waitpid(supervisor, 0)

    def reap() -> None:
        for _ in ended_children():
            pass

    wait_until_gone(KILL_DEADLINE_S, reap, insist=True)
    if os.WIFSIGNALED(status):
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(os.WEXITSTATUS(status))


def oom_kills() -> int:
    """Processes of this node, ours or not, that the kernel has killed for want of memory; 0 where it does not say."""
    with contextlib.suppress(OSError), open(OOM_KILLS, encoding="ascii") as counters:
        for line in counters:
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    return 0


def is_full(path: str) -> bool:
    """Whether the file system of ``path`` has no room left to speak of."""
    try:
        found = os.statvfs(path)
    except OSError:
        return False
    free = found.f_bavail if os.geteuid() else found.f_bfree
    return found.f_blocks > 0 and free * found.f_frsize < LEAST_FREE_BYTES


def tell(**event: Any) -> None:
    """One event to the trial; it may be gone."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(event).encode() + b"\n")


class Supervisor:
    """One launch: starts the ranks, waits for a reason to end, ends everything."""

    def __init__(self, launch: dict[str, Any], inherited: list[int], parents: list[int]) -> None:
        """``parents`` are descriptors that get readable when one ends whose end must end everything."""
        self._launch = launch
        self._inherited = inherited
        self._parents = parents
        self._ranks: dict[int, int] = {}  # pid → rank
        self._stopping = False
        self._oom_kills = oom_kills()

    def start_all(self) -> None:
        for number, rank in enumerate(self._launch["ranks"]):
            try:
                self._ranks[self._start(rank)] = number
            except (OSError, subprocess.SubprocessError) as error:
                by_node = getattr(error, "errno", None) not in OF_THE_COMMAND
                tell(event="failed", rank=number, error=str(error), by_node=by_node)
                self._stopping = True
                return
            tell(event="started", rank=number, pid=next(reversed(self._ranks)))

    def wait_for_a_reason(self, wakeup: int) -> None:
        """Returns when the trial, a signal or the end of a rank says that everything must end."""
        with selectors.DefaultSelector() as selector:
            selector.register(0, selectors.EVENT_READ)
            selector.register(wakeup, selectors.EVENT_READ)
            for parent in self._parents:
                selector.register(parent, selectors.EVENT_READ)
            while not self._stopping:
                ready = {key.fd for key, _ in selector.select()}
                if wakeup in ready:
                    self._on_signals(os.read(wakeup, 4096))
                if (0 in ready and self._is_told_to_stop()) or ready.intersection(self._parents):
                    self._stopping = True

    def end_all(self) -> None:
        """SIGTERM, the grace time, then SIGKILL for whatever is left, again and again until nothing is."""
        signal_all(descendants(os.getpid()), signal.SIGTERM)
        left = wait_until_gone(self._launch["grace_s"], self._reap, insist=False)
        if left:
            left = wait_until_gone(KILL_DEADLINE_S, self._reap, insist=True)
        self._reap()
        tell(event="gone", stuck=left)

    def _start(self, rank: dict[str, Any]) -> int:
        supervisor = os.getpid()
        cores = rank["cores"]

        def before_exec() -> None:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != supervisor:  # it died before the line above
                os._exit(1)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            if cores:
                os.sched_setaffinity(0, cores)

        with open(rank["log"], "ab", buffering=0) as log:
            # A session of its own: a server that signals its own group must not hit the supervisor.
            process = subprocess.Popen(
                rank["argv"],
                env=rank["env"],
                cwd=rank["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=self._inherited,
                start_new_session=True,
                preexec_fn=before_exec,
            )
        process.returncode = 0  # reaped below, with the adopted ones: Popen must not wait for it
        return process.pid

    def _is_told_to_stop(self) -> bool:
        """Whatever comes after the launch, the end of the stream included, means stop."""
        os.read(0, 4096)
        return True

    def _on_signals(self, numbers: bytes) -> None:
        if any(number in STOP_SIGNALS for number in numbers):
            self._stopping = True
        self._reap()

    def _reap(self) -> None:
        """Collects every ended child, adopted ones too; the end of a rank ends the launch.

        It is told unless everything is ending already: then it says nothing about the server.
        """
        for pid, status in ended_children():
            if pid in self._ranks and not self._stopping:
                rank, exit_code = self._ranks.pop(pid), os.waitstatus_to_exitcode(status)
                if exit_code == -signal.SIGKILL and oom_kills() > self._oom_kills:
                    self._note(rank, KILLED_BY_KERNEL)
                tell(event="ended", rank=rank, exit_code=exit_code, log_is_full=is_full(self._log_of(rank)))
                self._stopping = True

    def _log_of(self, rank: int) -> str:
        return str(self._launch["ranks"][rank]["log"])

    def _note(self, rank: int, line: str) -> None:
        """A line of ours at the end of a rank's log."""
        with contextlib.suppress(OSError), open(self._log_of(rank), "a", encoding="utf-8") as log:
            log.write(f"\n{line}\n")


def read_launch() -> dict[str, Any] | None:
    """The first line of stdin. ``None``: the trial ended, or told to stop, before it was all there."""
    received = b""
    while b"\n" not in received:
        chunk = os.read(0, 65536)
        if not chunk:
            return None
        received += chunk
    line, _, rest = received.partition(b"\n")
    launch: dict[str, Any] = json.loads(line)
    return None if rest else launch


def supervise(launch: dict[str, Any], parents: list[int]) -> int:
    wakeup, signalled = os.pipe()
    os.set_blocking(wakeup, False)
    os.set_blocking(signalled, False)
    signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
    for number in (*STOP_SIGNALS, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    supervisor = Supervisor(launch, [int(fd) for fd in sys.argv[1:]], parents)
    supervisor.start_all()
    supervisor.wait_for_a_reason(wakeup)
    supervisor.end_all()
    return 0


def main() -> int:
    become_subreaper()
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    launch = read_launch()
    if launch is None:
        return 0
    try:
        trial = watch_parent(launch["parent"])
    except ProcessLookupError:
        return 0
    guardian = os.getpid()
    supervisor = os.fork()
    if supervisor:
        guard(supervisor)
    become_subreaper()  # fork(2) does not pass it on
    try:
        return supervise(launch, trial + watch_parent(guardian))
    except ProcessLookupError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
