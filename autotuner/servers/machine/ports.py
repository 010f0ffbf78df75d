"""PortLease: a TCP port of this machine that one launch has to itself.

To pick a free port, release it and let a server bind it later is a race. Here a port is first locked (a
file per port, held until the server's last process is gone), so that no two launches of this user share
one, and it lies below the range from which the kernel hands out ports by itself. What is left is a
stranger who binds the same port in between: the launcher sees that the listener is none of its own
processes, and starts again on another port.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from pathlib import Path

from autotuner.errors import InfrastructureError
from autotuner.servers.machine.lock_file import lock_folder, try_lock

_FIRST_PORT = 20000
_COUNT = 10000
_CONNECT_TIMEOUT_S = 2.0
_LISTEN = "0A"  # state of a listening socket in /proc/net/tcp


class PortLease:
    """Holds ``port`` by its lock ``fd`` until it is closed, here and in whoever inherited it."""

    def __init__(self, port: int, fd: int) -> None:
        self.port = port
        self.fd = fd

    def close(self) -> None:
        """Idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def lease_port(host: str) -> PortLease:
    """Leases a port of ``host`` that nothing listens on. Raises InfrastructureError when there is none."""
    folder = lock_folder("ports")
    first, count = _range()
    start = os.getpid() * 37  # spreads the processes of a machine, so that they seldom try the same port
    for offset in range(count):
        port = first + (start + offset) % count
        fd = try_lock(folder / f"{port}.lock")
        if fd is None:
            continue
        if is_free(host, port):
            return PortLease(port, fd)
        os.close(fd)
    raise InfrastructureError(f"no free TCP port from {first} to {first + count - 1} on {host}")


def is_free(host: str, port: int) -> bool:
    """Whether any server can bind ``port`` now, also one that minds an earlier listener's lingering connections."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def is_listened_on(host: str, port: int) -> bool:
    """Whether somebody accepts connections on ``port``."""
    try:
        socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S).close()
    except OSError:
        return False
    return True


def listens(port: int, pids: Iterable[int]) -> bool | None:
    """Whether one of ``pids`` listens on ``port``; ``None`` where /proc does not tell, as of another user's process."""
    sockets = _listening_sockets(port)
    if not sockets:
        return None
    is_hidden = False
    for pid in pids:
        try:
            descriptors = _descriptors(pid)
        except PermissionError:
            is_hidden = True
            continue
        for descriptor in descriptors:
            try:
                if os.readlink(descriptor) in sockets:
                    return True
            except OSError:
                continue  # closed meanwhile
    return None if is_hidden else False


def _range() -> tuple[int, int]:
    """First port and number of ports: below the kernel's own range where there is room."""
    try:
        ephemeral = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        ephemeral = 32768
    room = min(_COUNT, ephemeral - _FIRST_PORT)
    return (_FIRST_PORT, room) if room > 1000 else (_FIRST_PORT, _COUNT)


def _listening_sockets(port: int) -> set[str]:
    """The listeners on ``port`` as links in /proc/<pid>/fd show them."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == _LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found


def _descriptors(pid: int) -> list[str]:
    try:
        return [f"/proc/{pid}/fd/{name}" for name in os.listdir(f"/proc/{pid}/fd")]
    except (FileNotFoundError, ProcessLookupError):
        return []  # it ended meanwhile
