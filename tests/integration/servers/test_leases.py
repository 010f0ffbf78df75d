"""Leases of cores and ports, held across processes."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from autotuner.errors import CapacityError, InfrastructureError
from autotuner.servers import CoreLease
from autotuner.servers.machine.core_holder import CoreHolder, core_holders
from autotuner.servers.machine.ports import is_free, is_listened_on, lease_port, listens

ALLOWED = range(4)  # lock files only: nothing is pinned here


def test_leases_share_no_core(own_locks: Path) -> None:
    with CoreLease(2, timeout_s=1, allowed=ALLOWED) as one, CoreLease(2, timeout_s=1, allowed=ALLOWED) as other:
        assert sorted(one.cores + other.cores) == [0, 1, 2, 3]
        assert len(one.fds) == 2
        with pytest.raises(CapacityError, match="no 1 CPU cores got free"), CoreLease(1, timeout_s=0, allowed=ALLOWED):
            pass
    with CoreLease(4, timeout_s=0, allowed=ALLOWED) as everything:
        assert everything.cores == (0, 1, 2, 3)


def test_only_cores_of_this_process_are_leased(own_locks: Path) -> None:
    mine = os.sched_getaffinity(0)
    with CoreLease(len(mine), timeout_s=1) as lease:
        assert set(lease.cores) == mine
    with pytest.raises(CapacityError, match="this machine gives"), CoreLease(len(mine) + 1, timeout_s=60):
        pass


def test_a_failed_lease_holds_nothing(own_locks: Path) -> None:
    with CoreLease(3, timeout_s=1, allowed=ALLOWED):
        with pytest.raises(CapacityError), CoreLease(2, timeout_s=0, allowed=ALLOWED):
            pass
        with CoreLease(1, timeout_s=0, allowed=ALLOWED) as last:
            assert last.cores == (3,)


def test_a_waiting_lease_gets_its_cores_once_they_are_free(own_locks: Path) -> None:
    held = CoreLease(3, timeout_s=1, allowed=ALLOWED).__enter__()
    got: list[tuple[int, ...]] = []

    def wait() -> None:
        with CoreLease(4, timeout_s=30, allowed=ALLOWED) as lease:
            got.append(lease.cores)

    waiting = threading.Thread(target=wait)
    waiting.start()
    held.close()
    waiting.join(timeout=30)
    assert got == [(0, 1, 2, 3)]


def test_cores_stay_leased_while_a_child_holds_them(own_locks: Path) -> None:
    with CoreLease(1, timeout_s=1, allowed=[0]) as lease:
        child = subprocess.Popen(
            [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=lease.fds
        )
    try:
        with pytest.raises(CapacityError), CoreLease(1, timeout_s=0, allowed=[0]):
            pass
    finally:
        child.communicate()
    with CoreLease(1, timeout_s=1, allowed=[0]):
        pass


def test_who_waits_for_cores_is_told_who_holds_them(own_locks: Path) -> None:
    holder = CoreHolder("quick", "0003", "/data/quick", 4711)
    one = CoreLease(3, timeout_s=1, allowed=ALLOWED, holder=holder).__enter__()
    other = CoreLease(1, timeout_s=1, allowed=ALLOWED).__enter__()
    told: list[dict[CoreHolder | None, int]] = []

    def tell(holders: Mapping[CoreHolder | None, int]) -> None:
        told.append(dict(holders))
        (other if len(told) == 1 else one).close()

    with CoreLease(4, timeout_s=60, allowed=ALLOWED, holder=CoreHolder("next", "0000"), tell=tell) as lease:
        assert len(lease.cores) == 4
        assert told == [{holder: 3, None: 1}, {holder: 3}], "and again when it has changed"
        assert core_holders(own_locks / f"autotuner-{os.getuid()}" / "cores", ALLOWED) == {
            CoreHolder("next", "0000"): 4
        }
    assert core_holders(own_locks / f"autotuner-{os.getuid()}" / "cores", ALLOWED) == {}, "what is written is of old"


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b'{"study": "x"}', b"\xff", b'{"study": "x", "trial_id": "1", "new": 2}']
)
def test_a_lock_file_that_tells_nothing_names_nobody(text: bytes) -> None:
    assert CoreHolder.read(text) is None


def test_ports_are_leased_once_and_free(own_locks: Path) -> None:
    one, other = lease_port("127.0.0.1"), lease_port("127.0.0.1")
    assert one.port != other.port
    assert is_free("127.0.0.1", one.port)
    one.close()
    one.close()
    again = lease_port("127.0.0.1")
    assert again.port == one.port
    again.close()
    other.close()


def test_who_listens_is_told_apart(own_locks: Path) -> None:
    lease = lease_port("127.0.0.1")
    assert listens(lease.port, [os.getpid()]) is None
    assert not is_listened_on("127.0.0.1", lease.port)
    with socket.socket() as server:
        server.bind(("127.0.0.1", lease.port))
        server.listen()
        assert not is_free("127.0.0.1", lease.port)
        assert is_listened_on("127.0.0.1", lease.port)
        assert listens(lease.port, [os.getpid()]) is True
        assert listens(lease.port, [os.getppid()]) is False
    lease.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_whether_another_users_process_listens_is_not_told(own_locks: Path) -> None:
    """A server in a container is root's, and who launched it need not be."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port, mine = server.getsockname()[1], os.getpid()
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            os._exit(0 if listens(port, [mine]) is None else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_a_lock_folder_that_is_a_link_is_refused(own_locks: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (own_locks / f"autotuner-{os.getuid()}").symlink_to(elsewhere)
    with pytest.raises(InfrastructureError, match="belongs to someone else"):
        lease_port("127.0.0.1")
