"""Deployment: what to start for a Config, as data. An engine writes it, a launcher reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


def literal(text: str) -> str:
    """``text`` with its braces doubled, so that binding a Rank's argv or env leaves it as it is."""
    return text.replace("{", "{{").replace("}", "}}")


@dataclass(frozen=True)
class Address:
    """A host and a port; written as ``host:port``."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class SecretEnv:
    """An environment value that the launcher reads from its own environment variable ``name``."""

    name: str


@dataclass(frozen=True)
class Probe:
    """An HTTP GET that answers 200 when the thing it asks holds."""

    path: str


@dataclass(frozen=True)
class VersionProbe:
    """An HTTP GET of a JSON object whose ``key`` is the version that the server says it is."""

    path: str
    key: str


@dataclass(frozen=True)
class HttpCall:
    """A request without a body, answered 200 when it was done."""

    path: str
    method: str = "POST"


@dataclass(frozen=True)
class Rank:
    """One process of a server: its argv with ``{host}``, ``{port}`` and ``{rank0}`` to be bound.

    ``{host}`` and ``{port}`` are this rank's own. ``{rank0}`` is the address at which a server's ranks
    meet, ``host:port`` (its halves: ``{rank0.host}``, ``{rank0.port}``), apart from every HTTP port.
    ``argv[0]`` is a logical executable such as ``llama-server``: the launcher finds it, or what stands in
    for it, on the machine that runs it. ``files`` (path relative to the rank's working folder → content)
    are written before the start; ``{files}`` in argv or env is that folder. Braces elsewhere are doubled,
    as in ``str.format`` (see ``literal``). ``measuring_env`` is what a server needs beside ``env`` to be measured,
    and what no deployed one should have: a launcher sets it, a manifest leaves it out.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str | SecretEnv] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    gpus: int = 0
    cpus: int = 1
    measuring_env: Mapping[str, str] = field(default_factory=dict)

    def bound_argv(self, own: Address, rank0: Address, files: str) -> tuple[str, ...]:
        """The argv to start, for a rank that listens on ``own`` and finds its files in ``files``."""
        return tuple(_bind(argument, own, rank0, files) for argument in self.argv)

    def bound_env(self, own: Address, rank0: Address, files: str) -> dict[str, str | SecretEnv]:
        """The environment to start with; secrets stay references."""
        return {
            name: value if isinstance(value, SecretEnv) else _bind(value, own, rank0, files)
            for name, value in self.env.items()
        }


def _bind(template: str, own: Address, rank0: Address, files: str) -> str:
    return template.format(host=own.host, port=own.port, rank0=rank0, files=files)


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
    version: VersionProbe | None = None
    cache_reset: HttpCall | None = None  # empties the prefix cache
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
