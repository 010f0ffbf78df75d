"""Deployment: what to start for a Config, as data. An engine writes it, a launcher reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SecretEnv:
    """An environment value that the launcher reads from its own environment variable ``name``."""

    name: str


@dataclass(frozen=True)
class Probe:
    """An HTTP GET that answers 200 when the thing it asks holds."""

    path: str


@dataclass(frozen=True)
class Rank:
    """One process of a server: its argv with ``{host}``, ``{port}`` and ``{rank0}`` to be bound.

    ``files`` (path relative to the rank's working folder → content) are written before the start;
    ``{files}`` in argv or env is that folder. Braces elsewhere are doubled, as in ``str.format``.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str | SecretEnv] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    gpus: int = 0
    cpus: int = 1


@dataclass(frozen=True)
class ServerGroup:
    """Equal replicas of one server; each replica has one or more ranks that live or die together."""

    ranks: tuple[Rank, ...]
    role: str = "serve"  # later also "prefill", "decode"
    replicas: int = 1


@dataclass(frozen=True)
class Mount:
    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Deployment:
    """Everything a launcher, a manifest or a simulator needs to know about the servers of one Config."""

    engine: str
    engine_version: str
    model: str  # path or hub id
    served_name: str
    groups: tuple[ServerGroup, ...]
    health: Probe = Probe("/health")
    ready: Probe = Probe("/health")
    metrics: Probe | None = None
    image: str | None = None
    mounts: tuple[Mount, ...] = ()

    @property
    def gpus(self) -> int:
        return sum(g.replicas * sum(r.gpus for r in g.ranks) for g in self.groups)

    @property
    def cpus(self) -> int:
        return sum(g.replicas * sum(r.cpus for r in g.ranks) for g in self.groups)

    @property
    def replicas(self) -> int:
        """Servers that take requests, over all groups."""
        return sum(g.replicas for g in self.groups)
