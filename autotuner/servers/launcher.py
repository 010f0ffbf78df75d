"""Launcher: starts a Deployment and hands back a running server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from autotuner.engines.deployment import Deployment
from autotuner.engines.engine import FailureReport
from autotuner.engines.nodes import GPUS_PER_NODE
from autotuner.metrics.load_level import LoadLevel
from autotuner.servers.supervision.share import LOOPBACK, Share
from autotuner.servers.tail import TAIL_BYTES

# Exit code (None = alive) and log → what they say: `Engine.diagnose`
Diagnose = Callable[[int | None, str], FailureReport]


@dataclass(frozen=True)
class LaunchRequest:
    """One launch of one trial.

    ``tags`` (AUTOTUNER_STUDY, AUTOTUNER_TRIAL, AUTOTUNER_OWNER) are set in every process's
    environment so that the reaper knows its own. ``cores`` are the server's leased cores (empty: not
    pinned) and ``gpu_ids`` its CUDA_VISIBLE_DEVICES (empty tuple: none visible). ``inherit_fds`` are
    held open by the supervisor until all descendants are gone (the core lease's locks). ``cores`` and
    ``gpu_ids`` are this node's; ``other_nodes`` run the further shares of the Deployment (none: all runs here), and
    reach this one at ``meeting_host``.
    """

    deployment: Deployment
    launch_id: str
    log_dir: Path
    work_dir: Path
    tags: Mapping[str, str]
    start_timeout_s: float
    cores: tuple[int, ...] = ()
    gpu_ids: tuple[str, ...] = ()
    inherit_fds: Sequence[int] = field(default_factory=tuple)
    gpus_per_node: int = GPUS_PER_NODE
    other_nodes: Sequence[OtherNode] = ()
    meeting_host: str = LOOPBACK


class OtherNode(Protocol):
    """Another node that a trial has reserved a bundle on."""

    def open(self, request: LaunchRequest) -> Share:
        """Its share of a launch. Raises ServerLostError when the node is gone."""
        ...

    def prefetch(self, deployment: Deployment, timeout_s: float) -> None:
        """As ``servers.weights.prefetch.prefetch``, on that node. Raises ServerLostError when it is gone."""
        ...


class RunningServer(Protocol):
    """A server that answered its ready probe. Leaving the context ends every process of it."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    @property
    def urls(self) -> tuple[str, ...]: ...

    @property
    def startup_s(self) -> float: ...

    @property
    def engine_version(self) -> str: ...

    @property
    def served_name(self) -> str | None:
        """The model's name in requests, where the server has another one than its Deployment says; else ``None``."""
        ...

    @property
    def recorded_load(self) -> Mapping[LoadLevel, int] | None:
        """Of a server that is replayed: how many requests were recorded at each load level (0: their metrics alone).

        ``None`` where any load can be asked for.
        """
        ...

    def exit_code(self, within_s: float = 0.0) -> int | None:
        """``None`` while every rank lives, else the exit code of the first that ended (negative: signal).

        Waits up to ``within_s`` for an end that is suspected: a dying server refuses before it is gone.
        """
        ...

    def log_tail(self, max_bytes: int = TAIL_BYTES) -> str:
        """The end of its logs: what is kept with a failure, or ``DIAGNOSED_BYTES`` to find what explains one."""
        ...

    def stop(self) -> None:
        """Ends every descendant and returns when they are gone. Idempotent; has a deadline."""
        ...


@dataclass(frozen=True)
class UnownedServer:
    """A RunningServer of which no process is ours: someone else runs it, or none does."""

    url: str
    startup_s: float
    engine_version: str
    served_name: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def urls(self) -> tuple[str, ...]:
        return (self.url,)

    @property
    def recorded_load(self) -> Mapping[LoadLevel, int] | None:
        return None

    def exit_code(self, within_s: float = 0.0) -> int | None:
        """Always ``None``: its death, if any, shows in its requests only."""
        return None

    def log_tail(self, max_bytes: int = TAIL_BYTES) -> str:
        return ""

    def stop(self) -> None:
        """Nothing: nothing was started."""


class Launcher(Protocol):
    def launch(self, request: LaunchRequest, diagnose: Diagnose) -> RunningServer:
        """Starts the servers and waits until they are ready.

        Raises LaunchError (with the engine's diagnosis and the log's tail) when a rank dies first or
        ``start_timeout_s`` passes; by then nothing of it is left.
        """
        ...
