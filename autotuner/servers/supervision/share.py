"""A share of a launch: the ranks that run on one node, owned by one supervisor there."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from autotuner.engines.deployment import Address, Mount, Rank
from autotuner.errors import InfrastructureError
from autotuner.servers.machine.gpu_memory import require_empty, wait_until_given_back
from autotuner.servers.machine.ports import PortLease, is_listened_on, lease_port, listens
from autotuner.servers.supervision.rank_starter import RankOrder, RankStarter
from autotuner.servers.supervision.supervision import GRACE_S, Supervision
from autotuner.servers.tail import TAIL_BYTES, tail_of

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Ground:
    """What one node gives to a launch. ``gpu_ids`` and ``cores`` are shared out over the ranks in order.

    ``meeting_host`` is the address at which ranks on other nodes reach this one. ``tags`` mark every process.
    ``inherit_fds`` are held open until all descendants are gone.
    """

    launch_id: str
    log_dir: Path
    work_dir: Path
    tags: Mapping[str, str]
    gpu_ids: tuple[str, ...] = ()
    cores: tuple[int, ...] = ()
    inherit_fds: tuple[int, ...] = ()
    grace_s: float = GRACE_S
    meeting_host: str = LOOPBACK
    image: str | None = None
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True)
class BoundRank:
    """A rank with its number in the whole launch, where it listens and where the ranks of its server meet."""

    number: int
    spec: Rank
    own: Address
    rank0: Address


@dataclass(frozen=True)
class ShareState:
    """How a share is: ``exit_code`` is ``None`` while all its ranks live, ``error`` says why one can't be executed."""

    exit_code: int | None = None
    error: str = ""


class Share(Protocol):
    """The ranks of one node, on this node or on another. Methods may raise ServerLostError: the owner is gone."""

    def lease(self, ranks: int, meetings: int = 0) -> tuple[tuple[Address, ...], tuple[Address, ...]]:
        """An address for each rank to listen on, and one for each server whose ranks meet on this node."""
        ...

    def prepare(self) -> None:
        """What takes time and is not starting: GPUs empty, an image fetched. Raises InfrastructureError."""
        ...

    def start(self, ranks: Sequence[BoundRank]) -> str | None:
        """Starts the ranks; returns the engine's version, where it is known before the server tells it."""
        ...

    def state(self) -> ShareState: ...

    def is_served_here(self, port: int) -> bool | None:
        """Whether it is one of these ranks that listens on ``port``; ``None`` where nothing tells."""
        ...

    def taken(self, addresses: Sequence[Address]) -> Address | None:
        """The first of these that somebody listens on, once the ranks have ended."""
        ...

    def log_tail(self, max_bytes: int = TAIL_BYTES) -> str: ...

    def end(self) -> None:
        """Ends every process and waits until the GPUs' memory is back; ports stay leased. Idempotent.

        Raises InfrastructureError when a process won't go or memory does not come back.
        """
        ...

    def close(self) -> None:
        """``end``, and the ports are free. Idempotent."""
        ...


class LocalShare:
    """The ranks of a launch on this very node."""

    def __init__(self, ground: Ground, starter: RankStarter) -> None:
        self._ground = ground
        self._starter = starter
        self._ports = contextlib.ExitStack()
        self._leases: list[PortLease] = []
        self._logs: list[Path] = []
        self._supervision: Supervision | None = None
        self._ended = False
        self._used_before: Mapping[str, int] = {}

    def lease(self, ranks: int, meetings: int = 0) -> tuple[tuple[Address, ...], tuple[Address, ...]]:
        own = tuple(self._lease(LOOPBACK) for _ in range(ranks))
        return own, tuple(self._lease(self._ground.meeting_host) for _ in range(meetings))

    def prepare(self) -> None:
        self._starter.prepare(self._ground.image, self._ground.gpu_ids)
        self._used_before = require_empty(self._ground.gpu_ids)

    def start(self, ranks: Sequence[BoundRank]) -> str | None:
        ground = self._ground
        ground.log_dir.mkdir(parents=True, exist_ok=True)
        version = None
        processes = []
        for order in self._orders(ranks):
            started = self._starter.command(order)
            version = version or started.version
            processes.append(started.process)
        self._supervision = Supervision(
            processes,
            launch_id=ground.launch_id,
            env={**self._starter.base_env(), **ground.tags},
            log=ground.log_dir / f"{ground.launch_id}-supervisor{ranks[0].number or ''}.log",
            inherit_fds=(*ground.inherit_fds, *(lease.fd for lease in self._leases)),
            grace_s=ground.grace_s,
        )
        return version

    def state(self) -> ShareState:
        if self._supervision is None:
            return ShareState()
        code = self._supervision.exit_code()
        if code is not None and not self._ended:
            self._starter.check_exit(code)
        return ShareState(code, self._supervision.error)

    def is_served_here(self, port: int) -> bool | None:
        if self._supervision is None:
            return None
        return listens(port, self._starter.pids(self._supervision))

    def taken(self, addresses: Sequence[Address]) -> Address | None:
        return next((address for address in addresses if is_listened_on(address.host, address.port)), None)

    def log_tail(self, max_bytes: int = TAIL_BYTES) -> str:
        return tail_of(self._logs, max_bytes)

    def end(self) -> None:
        if self._supervision is None or self._ended:
            return
        self._ended = True
        stuck = self._supervision.stop()
        if stuck:
            raise InfrastructureError(f"processes that not even SIGKILL ended: {', '.join(map(str, stuck))}")
        self._starter.clean_up()
        wait_until_given_back(self._used_before)

    def close(self) -> None:
        with self._ports:
            self.end()

    def _lease(self, host: str) -> Address:
        found = lease_port(host)
        self._ports.callback(found.close)
        self._leases.append(found)
        return Address(host, found.port)

    def _orders(self, ranks: Sequence[BoundRank]) -> list[RankOrder]:
        """Every rank with its files written and its part of the GPUs and cores."""
        ground = self._ground
        gpus, cores = list(ground.gpu_ids), list(ground.cores)
        shares_cores = len(cores) != sum(bound.spec.cpus for bound in ranks)  # else each rank gets cores of its own
        orders = []
        for bound in ranks:
            rank = bound.spec
            folder = ground.work_dir / f"{ground.launch_id}-rank{bound.number}"
            write_files(folder, rank.files)
            log = ground.log_dir / f"{ground.launch_id}-rank{bound.number}.log"
            log.unlink(missing_ok=True)  # an earlier try on another port must not be read as this one's
            self._logs.append(log)
            rank_gpus, gpus = gpus[: rank.gpus], gpus[rank.gpus :]
            rank_cores = cores[:] if shares_cores else cores[: rank.cpus]
            cores = cores if shares_cores else cores[rank.cpus :]
            orders.append(
                RankOrder(
                    rank=rank,
                    own=bound.own,
                    rank0=bound.rank0,
                    folder=folder,
                    log=log,
                    gpu_ids=tuple(rank_gpus),
                    cores=tuple(rank_cores),
                    tags=ground.tags,
                    name=f"{ground.launch_id}-rank{bound.number}",
                    image=ground.image,
                    mounts=ground.mounts,
                )
            )
        return orders


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Writes ``files`` (relative path → content) below ``folder``. Raises InfrastructureError for a path outside."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise InfrastructureError(f"a rank's file must lie below its own folder: {name!r}")
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, encoding="utf-8")
