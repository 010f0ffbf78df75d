"""Launchers whose ranks are owned by supervisors: as processes here (docker's are in ``docker/``)."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from autotuner.engines.deployment import Address, Deployment
from autotuner.engines.logs.log_pattern import last_lines
from autotuner.engines.node_shares import NodeShare, node_shares
from autotuner.errors import Failure, InfrastructureError, InputError, LaunchError
from autotuner.metrics.load_level import LoadLevel
from autotuner.servers.launcher import Diagnose, LaunchRequest
from autotuner.servers.readiness import Readiness, get_json_text, probe, wait_until_ready
from autotuner.servers.supervision.rank_starter import ProcessStarter, RankStarter
from autotuner.servers.supervision.share import BoundRank, Ground, LocalShare, Share
from autotuner.servers.supervision.supervision import GRACE_S
from autotuner.servers.supervision.together import Together
from autotuner.servers.tail import DIAGNOSED_BYTES, TAIL_BYTES

_PORT_ATTEMPTS = 4
_POLL_S = 0.02


class LaunchedServer:
    """Servers of one launch that answered their ready probe. Leaving the context ends every process."""

    def __init__(self, shares: Sequence[Share], urls: tuple[str, ...], startup_s: float, engine_version: str) -> None:
        self._shares = shares
        self._together = Together(shares)
        self._urls = urls
        self._startup_s = startup_s
        self._engine_version = engine_version

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def urls(self) -> tuple[str, ...]:
        return self._urls

    @property
    def startup_s(self) -> float:
        return self._startup_s

    @property
    def engine_version(self) -> str:
        return self._engine_version

    @property
    def served_name(self) -> str | None:
        return None

    @property
    def recorded_load(self) -> Mapping[LoadLevel, int] | None:
        return None

    def exit_code(self, within_s: float = 0.0) -> int | None:
        ends_at = time.monotonic() + within_s
        while (code := self._together.exit_code()) is None and time.monotonic() < ends_at:
            time.sleep(_POLL_S)
        return code

    def log_tail(self, max_bytes: int = TAIL_BYTES) -> str:
        return _log_tail(self._shares, max_bytes)

    def stop(self) -> None:
        """Ends every descendant and frees the ports. Raises InfrastructureError when a process won't go."""
        self._together.stop()
        _for_all(self._shares, lambda share: share.close())


@dataclass(frozen=True)
class ProcessLauncher:
    """Starts a Deployment's servers as processes, on the loopback address of each node.

    At the end a server has ``grace_s`` seconds from SIGTERM to SIGKILL.
    """

    grace_s: float = GRACE_S

    def starter(self) -> RankStarter:
        return ProcessStarter()

    def launch(self, request: LaunchRequest, diagnose: Diagnose) -> LaunchedServer:
        return launch_shares(request, diagnose, self.starter, self.grace_s)


def launch_shares(
    request: LaunchRequest, diagnose: Diagnose, make_starter: Callable[[], RankStarter], grace_s: float
) -> LaunchedServer:
    """Brings the request's Deployment up: its first share here, the others on the request's other nodes.

    Raises LaunchError, by when nothing of it is left.
    """
    for attempt in range(1, _PORT_ATTEMPTS + 1):
        try:
            return _Launch(request, diagnose, make_starter, grace_s).run()
        except _PortTakenError as error:
            if attempt == _PORT_ATTEMPTS:
                raise LaunchError(str(error), Failure.INFRASTRUCTURE) from error
        except LaunchError:
            raise
        except (InputError, OSError, InfrastructureError) as error:
            raise LaunchError(str(error), Failure.INFRASTRUCTURE) from error
    raise AssertionError("unreachable")


class _PortTakenError(Exception):
    """A stranger bound a leased port before the server could: another port will do."""


class _Launch:
    """One try to bring a Deployment up."""

    def __init__(
        self, request: LaunchRequest, diagnose: Diagnose, make_starter: Callable[[], RankStarter], grace_s: float
    ) -> None:
        self._request = request
        self._grace_s = grace_s
        self._diagnose = diagnose
        self._make_starter = make_starter
        self._deployment: Deployment = request.deployment
        self._parts = _parts(request)
        self._shares: list[Share] = []
        self._ranks: list[list[BoundRank]] = []

    def run(self) -> LaunchedServer:
        request = self._request
        with contextlib.ExitStack() as held:
            self._open(held)
            self._bind()
            for share in self._shares:
                share.prepare()
            started = time.monotonic()
            versions = [share.start(ranks) for share, ranks in zip(self._shares, self._ranks, strict=True)]
            self._wait()
            startup_s = time.monotonic() - started
            urls = self._urls()
            version = (
                next(filter(None, versions), None) or self._told_version(urls) or request.deployment.engine_version
            )
            held.pop_all()  # the server owns them now
            return LaunchedServer(tuple(self._shares), urls, startup_s, version)

    def _open(self, held: contextlib.ExitStack) -> None:
        """The shares, in order: this node's own, then those of the other nodes."""
        request = self._request
        ground = Ground(
            launch_id=request.launch_id,
            log_dir=request.log_dir,
            work_dir=request.work_dir,
            tags=request.tags,
            gpu_ids=request.gpu_ids,
            cores=request.cores,
            inherit_fds=tuple(request.inherit_fds),
            grace_s=self._grace_s,
            meeting_host=request.meeting_host,
            image=request.deployment.image,
            mounts=request.deployment.mounts,
        )
        self._shares.append(LocalShare(ground, self._make_starter()))
        held.callback(self._shares[0].close)
        for node in request.other_nodes[: len(self._parts) - 1]:
            self._shares.append(node.open(request))
            held.callback(self._shares[-1].close)

    def _bind(self) -> None:
        """Leases an address for every rank, and one more where several ranks must meet."""
        several = _servers_of_several_ranks(self._deployment)
        meetings: dict[int, Address] = {}
        owns: list[tuple[Address, ...]] = []
        for share, part in zip(self._shares, self._parts, strict=True):
            first = [placed.server for placed in part.ranks if placed.rank == 0 and placed.server in several]
            own, meeting = share.lease(len(part.ranks), meetings=len(first))
            owns.append(own)
            meetings |= dict(zip(first, meeting, strict=True))
        number = 0
        for part, own in zip(self._parts, owns, strict=True):
            bound = []
            for placed, address in zip(part.ranks, own, strict=True):
                bound.append(BoundRank(number, placed.spec, address, meetings.get(placed.server, address)))
                number += 1
            self._ranks.append(bound)

    def _fronts(self) -> list[tuple[Share, Address]]:
        """Where each server takes requests: its rank 0, and the share that runs it."""
        return [
            (share, bound.own)
            for share, part, ranks in zip(self._shares, self._parts, self._ranks, strict=True)
            for placed, bound in zip(part.ranks, ranks, strict=True)
            if placed.rank == 0
        ]

    def _urls(self) -> tuple[str, ...]:
        return tuple(f"http://{address}" for _, address in self._fronts())

    def _wait(self) -> None:
        waiting = self._fronts()

        def is_ready() -> bool:
            while waiting:
                share, address = waiting[0]
                if probe(f"http://{address}{self._deployment.ready.path}") != 200:
                    return False
                if share.is_served_here(address.port) is False:
                    return False  # a stranger's server answered
                waiting.pop(0)
            return True

        def has_died() -> bool:
            return _exit_code(self._shares) is not None

        outcome = wait_until_ready(is_ready, has_died, self._request.start_timeout_s)
        if outcome is Readiness.READY:
            return
        states = [share.state() for share in self._shares]
        _for_all(self._shares, lambda share: share.end())
        if outcome is Readiness.DIED:
            exit_code = next((state.exit_code for state in states if state.exit_code is not None), None)
            raise self._death(exit_code, next((state.error for state in states if state.error), ""))
        log_tail = _log_tail(self._shares)
        waited = f"the server was not ready within {self._request.start_timeout_s:g} s"
        raise LaunchError(
            f"{waited}; its log ends: {last_lines(log_tail)}" if log_tail.strip() else waited,
            Failure.STARTUP_TIMEOUT,
            log_tail=log_tail,
        )

    def _death(self, exit_code: int | None, error: str) -> LaunchError | _PortTakenError:
        if error:
            return LaunchError(f"the server can't be started: {error}", Failure.INVALID_CONFIG)
        for share, ranks in zip(self._shares, self._ranks, strict=True):
            taken = share.taken([address for bound in ranks for address in (bound.own, bound.rank0)])
            if taken is not None:
                return _PortTakenError(f"another process took port {taken.port}")
        report = self._diagnose(exit_code, _log_tail(self._shares, DIAGNOSED_BYTES))
        return LaunchError(report.message, report.failure, log_tail=_log_tail(self._shares))

    def _told_version(self, urls: Sequence[str]) -> str | None:
        where = self._deployment.version
        return None if where is None else get_json_text(urls[0] + where.path, where.key)


def _parts(request: LaunchRequest) -> tuple[NodeShare, ...]:
    """The ranks by node: all on this one where the request names no other."""
    parts = node_shares(request.deployment, request.gpus_per_node)
    if request.other_nodes:
        if len(parts) != 1 + len(request.other_nodes):
            raise InfrastructureError(f"{len(parts)} shares for {1 + len(request.other_nodes)} nodes")
        return parts
    return (NodeShare(tuple(placed for part in parts for placed in part.ranks)),)


def _servers_of_several_ranks(deployment: Deployment) -> set[int]:
    parts = node_shares(deployment, 1)
    return {placed.server for part in parts for placed in part.ranks if placed.rank > 0}


def _exit_code(shares: Sequence[Share]) -> int | None:
    return next((code for share in shares if (code := share.state().exit_code) is not None), None)


def _log_tail(shares: Sequence[Share], max_bytes: int = TAIL_BYTES) -> str:
    tails = [share.log_tail(max_bytes // len(shares)) for share in shares]
    return "\n".join(tail for tail in tails if tail)


def _for_all(shares: Sequence[Share], act: Callable[[Share], None]) -> None:
    """Acts on every share, whatever one of them raises; the last error is raised then."""
    with contextlib.ExitStack() as held:
        for share in shares:
            held.callback(act, share)
