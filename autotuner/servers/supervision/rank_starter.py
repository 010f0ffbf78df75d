"""RankStarter: how one rank becomes a process that a supervisor starts. What a launcher kind is, comes down to this."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from autotuner.engines.deployment import Address, Mount, Rank, SecretEnv
from autotuner.servers.machine.executables import resolve_argv
from autotuner.servers.secrets import read_variable
from autotuner.servers.supervision.supervision import RankProcess, Supervision

# Ray's own variables would make an engine join the cluster and ask it for GPUs again.
_DROPPED_PREFIXES = ("RAY_", "AUTOTUNER_", "OMP_NUM_THREADS")  # Ray sets the last one, to the CPUs of a trial


@dataclass(frozen=True)
class RankOrder:
    """One rank to start on this node. ``folder`` holds its files and is its working folder; ``log`` takes its output.

    ``name`` is unique on the study's nodes: launch id and number of the rank.
    """

    rank: Rank
    own: Address
    rank0: Address
    folder: Path
    log: Path
    gpu_ids: tuple[str, ...]
    cores: tuple[int, ...]
    tags: Mapping[str, str]
    name: str
    image: str | None = None
    mounts: tuple[Mount, ...] = ()

    def argv(self, files: str | None = None) -> tuple[str, ...]:
        """The bound argv; ``files``: where the rank sees its folder, by default where it is."""
        return self.rank.bound_argv(self.own, self.rank0, files or str(self.folder))

    def env(self, files: str | None = None) -> dict[str, str]:
        """What the rank's own environment adds, with secrets read. Raises StudyError for one that is not set."""
        bound = self.rank.bound_env(self.own, self.rank0, files or str(self.folder))
        return {**self.rank.measuring_env, **_read_secrets(bound), **self.tags}


@dataclass(frozen=True)
class Started:
    """``version`` is the engine's, where it is known without the server's word."""

    process: RankProcess
    version: str | None = None


class RankStarter(Protocol):
    """Made anew for each share of a launch; may remember what it started."""

    def base_env(self) -> dict[str, str]:
        """The environment of the supervisor, tags apart."""
        ...

    def prepare(self, image: str | None, gpu_ids: Sequence[str]) -> None:
        """What must be done before the start-up clock runs, once a share."""
        ...

    def command(self, order: RankOrder) -> Started:
        """Raises InputError for what can't be started here."""
        ...

    def pids(self, supervision: Supervision) -> Sequence[int]:
        """The processes of the ranks that run."""
        ...

    def check_exit(self, exit_code: int) -> None:
        """Raises ServerLostError for the exit code of a rank that was lost through no fault of its own."""
        ...

    def clean_up(self) -> None:
        """Called when the supervisor has ended. Raises InfrastructureError for what it left and won't go."""
        ...


class ProcessStarter:
    """A rank is a process of this machine."""

    def base_env(self) -> dict[str, str]:
        return inherited_env()

    def prepare(self, image: str | None, gpu_ids: Sequence[str]) -> None:
        """Processes are started from what the node has."""

    def command(self, order: RankOrder) -> Started:
        resolved = resolve_argv(order.argv())
        env = {**inherited_env(), **order.env(), "CUDA_VISIBLE_DEVICES": ",".join(order.gpu_ids)}
        return Started(RankProcess(resolved.argv, env, order.folder, order.log, order.cores), resolved.version)

    def pids(self, supervision: Supervision) -> Sequence[int]:
        return supervision.pids()

    def check_exit(self, exit_code: int) -> None:
        """Every exit of a process is its own."""

    def clean_up(self) -> None:
        """The supervisor left nothing."""


def inherited_env() -> dict[str, str]:
    """This process's environment without what is Ray's and Autotuner's own."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_DROPPED_PREFIXES)}


def _read_secrets(env: Mapping[str, str | SecretEnv]) -> dict[str, str]:
    return {
        name: read_variable(f"engine.env.{name}", value.name) if isinstance(value, SecretEnv) else value
        for name, value in env.items()
    }
