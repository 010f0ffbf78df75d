"""ProcessLauncher: servers as processes on the trial's node, each launch owned by a supervisor."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from autotuner.engines.deployment import Address, Deployment, Rank, SecretEnv
from autotuner.engines.log_pattern import last_lines
from autotuner.errors import Failure, InfrastructureError, InputError, LaunchError, ServerLostError
from autotuner.servers._tail import DIAGNOSED_BYTES, TAIL_BYTES, tail_of
from autotuner.servers.executables import resolve_argv
from autotuner.servers.launcher import Diagnose, LaunchRequest
from autotuner.servers.ports import PortLease, is_listened_on, lease_port, listens
from autotuner.servers.readiness import Readiness, get_json_text, probe, wait_until_ready
from autotuner.servers.secrets import read_variable
from autotuner.servers.supervision import GRACE_S, RankProcess, Supervision

HOST = "127.0.0.1"
_PORT_ATTEMPTS = 4
_POLL_S = 0.02
# Ray's own variables would make an engine join the cluster and ask it for GPUs again.
_DROPPED_PREFIXES = ("RAY_", "AUTOTUNER_", "OMP_NUM_THREADS")  # Ray sets the last one, to the CPUs of a trial


@dataclass(frozen=True)
class _Replica:
    """Where one server listens, and where its ranks meet."""

    own: tuple[Address, ...]  # a rank each
    rank0: Address
    ranks: tuple[Rank, ...]

    @property
    def url(self) -> str:
        return f"http://{self.own[0]}"


class ProcessServer:
    """Servers of one launch that answered their ready probe. Leaving the context ends every process."""

    def __init__(
        self,
        supervision: Supervision,
        ports: contextlib.ExitStack,
        urls: tuple[str, ...],
        logs: tuple[Path, ...],
        startup_s: float,
        engine_version: str,
    ) -> None:
        self._supervision = supervision
        self._ports = ports
        self._urls = urls
        self._logs = logs
        self._startup_s = startup_s
        self._engine_version = engine_version
        self._stopped = False

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

    def exit_code(self, within_s: float = 0.0) -> int | None:
        ends_at = time.monotonic() + within_s
        while (code := self._supervision.exit_code()) is None and time.monotonic() < ends_at:
            time.sleep(_POLL_S)
        return code

    def log_tail(self, max_bytes: int = TAIL_BYTES) -> str:
        return tail_of(self._logs, max_bytes)

    def stop(self) -> None:
        """Ends every descendant and frees the ports. Raises InfrastructureError when a process won't go."""
        if self._stopped:
            return
        self._stopped = True
        with self._ports:
            _stop(self._supervision)


@dataclass(frozen=True)
class ProcessLauncher:
    """Starts a Deployment's servers as processes of this machine, on its loopback address.

    At the end a server has ``grace_s`` seconds from SIGTERM to SIGKILL.
    """

    grace_s: float = GRACE_S

    def launch(self, request: LaunchRequest, diagnose: Diagnose) -> ProcessServer:
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            try:
                return _Launch(request, diagnose, self.grace_s).run()
            except _PortTakenError as error:
                if attempt == _PORT_ATTEMPTS:
                    raise LaunchError(str(error), Failure.INFRASTRUCTURE) from error
            except (InputError, OSError, ServerLostError) as error:
                raise LaunchError(str(error), Failure.INFRASTRUCTURE) from error
        raise AssertionError("unreachable")


class _PortTakenError(Exception):
    """A stranger bound a leased port before the server could: another port will do."""


class _Launch:
    """One try to bring a Deployment up."""

    def __init__(self, request: LaunchRequest, diagnose: Diagnose, grace_s: float) -> None:
        self._request = request
        self._grace_s = grace_s
        self._diagnose = diagnose
        self._deployment: Deployment = request.deployment
        self._version: str | None = None
        self._logs: list[Path] = []

    def run(self) -> ProcessServer:
        request = self._request
        request.log_dir.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as held:
            leases: list[PortLease] = []
            replicas = list(self._place(held, leases))
            ranks = list(self._processes(replicas))
            started = time.monotonic()
            supervision = Supervision(
                ranks,
                launch_id=request.launch_id,
                env={**inherited_env(), **request.tags},
                log=request.log_dir / f"{request.launch_id}-supervisor.log",
                inherit_fds=(*request.inherit_fds, *(lease.fd for lease in leases)),
                grace_s=self._grace_s,
            )
            held.callback(_stop, supervision)
            self._wait(supervision, replicas)
            startup_s = time.monotonic() - started
            version = self._version or self._told_version(replicas) or self._deployment.engine_version
            ports = contextlib.ExitStack()
            for lease in leases:
                ports.callback(lease.close)
            server = ProcessServer(
                supervision, ports, tuple(r.url for r in replicas), tuple(self._logs), startup_s, version
            )
            held.pop_all()  # the server owns them now
            return server

    def _place(self, held: contextlib.ExitStack, leases: list[PortLease]) -> Iterator[_Replica]:
        """Leases a port for every rank, and one more where several ranks must meet."""

        def lease() -> Address:
            found = lease_port(HOST)
            held.callback(found.close)
            leases.append(found)
            return Address(HOST, found.port)

        for group in self._deployment.groups:
            for _ in range(group.replicas):
                own = tuple(lease() for _ in group.ranks)
                yield _Replica(own, lease() if len(group.ranks) > 1 else own[0], group.ranks)

    def _processes(self, replicas: Sequence[_Replica]) -> Iterator[RankProcess]:
        """Every rank bound, its files written, with its share of the GPUs and cores."""
        request = self._request
        gpus, cores = list(request.gpu_ids), list(request.cores)
        shares_cores = len(cores) != self._deployment.cpus  # else each rank gets cores of its own
        number = 0
        for replica in replicas:
            for rank, own in zip(replica.ranks, replica.own, strict=True):
                folder = request.work_dir / f"{request.launch_id}-rank{number}"
                write_files(folder, rank.files)
                log = request.log_dir / f"{request.launch_id}-rank{number}.log"
                log.unlink(missing_ok=True)  # an earlier try on another port must not be read as this one's
                self._logs.append(log)
                rank_gpus, gpus = gpus[: rank.gpus], gpus[rank.gpus :]
                rank_cores = cores[:] if shares_cores else cores[: rank.cpus]
                cores = cores if shares_cores else cores[rank.cpus :]
                resolved = resolve_argv(rank.bound_argv(own, replica.rank0, str(folder)))
                self._version = self._version or resolved.version
                env = {
                    **inherited_env(),
                    **rank.measuring_env,
                    **_read_secrets(rank.bound_env(own, replica.rank0, str(folder))),
                    **request.tags,
                    "CUDA_VISIBLE_DEVICES": ",".join(rank_gpus),
                }
                yield RankProcess(resolved.argv, env, folder, log, tuple(rank_cores))
                number += 1

    def _wait(self, supervision: Supervision, replicas: Sequence[_Replica]) -> None:
        waiting = list(replicas)

        def is_ready() -> bool:
            while waiting:
                if probe(waiting[0].url + self._deployment.ready.path) != 200:
                    return False
                if listens(waiting[0].own[0].port, supervision.pids()) is False:
                    return False  # a stranger's server answered
                waiting.pop(0)
            return True

        outcome = wait_until_ready(is_ready, lambda: supervision.exit_code() is not None, self._request.start_timeout_s)
        if outcome is Readiness.READY:
            return
        exit_code = supervision.exit_code()
        _stop(supervision)
        if outcome is Readiness.DIED:
            raise self._death(supervision, exit_code, replicas)
        log_tail = tail_of(self._logs)
        waited = f"the server was not ready within {self._request.start_timeout_s:g} s"
        raise LaunchError(
            f"{waited}; its log ends: {last_lines(log_tail)}" if log_tail.strip() else waited,
            Failure.STARTUP_TIMEOUT,
            log_tail=log_tail,
        )

    def _death(
        self, supervision: Supervision, exit_code: int | None, replicas: Sequence[_Replica]
    ) -> LaunchError | _PortTakenError:
        if supervision.error:
            return LaunchError(f"the server can't be started: {supervision.error}", Failure.INVALID_CONFIG)
        for address in (address for replica in replicas for address in (*replica.own, replica.rank0)):
            if is_listened_on(address.host, address.port):
                return _PortTakenError(f"another process took port {address.port}")
        report = self._diagnose(exit_code, tail_of(self._logs, DIAGNOSED_BYTES))
        return LaunchError(report.message, report.failure, log_tail=tail_of(self._logs))

    def _told_version(self, replicas: Sequence[_Replica]) -> str | None:
        where = self._deployment.version
        return None if where is None else get_json_text(replicas[0].url + where.path, where.key)


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


def _stop(supervision: Supervision) -> None:
    stuck = supervision.stop()
    if stuck:
        raise InfrastructureError(f"processes that not even SIGKILL ended: {', '.join(map(str, stuck))}")


def inherited_env() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED_PREFIXES)}


def _read_secrets(env: Mapping[str, str | SecretEnv]) -> dict[str, str]:
    return {
        name: read_variable(f"engine.env.{name}", value.name) if isinstance(value, SecretEnv) else value
        for name, value in env.items()
    }
