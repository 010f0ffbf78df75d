"""ShownRank: a process of a server as people and scripts read it before it has a place."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from autotuner.engines.deployment import Rank, SecretEnv

_FILES = "FILES"  # the folder of its files


@dataclass(frozen=True)
class _Place:
    """An Address that is not known yet."""

    host: str
    port: str

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class ShownRank:
    """Words as they will be started, but for ``HOST``, ``PORT``, ``RANK0_HOST``, ``RANK0_PORT`` and ``FILES``.

    ``env`` has the names of secrets only. ``measuring_env`` is set while it is measured, and not where it is deployed.
    """

    argv: tuple[str, ...]
    env: dict[str, str | SecretEnv]
    measuring_env: dict[str, str]
    files: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        env = {k: {"from_env": v.name} if isinstance(v, SecretEnv) else v for k, v in self.env.items()}
        return {"argv": list(self.argv), "env": env, "measuring_env": self.measuring_env, "files": self.files}

    def lines(self) -> Iterator[str]:
        """The command, then its environment and its files further in."""
        yield shlex.join(self.argv)
        for name, value in self.env.items():
            yield f'  {name}="${{{value.name}}}"' if isinstance(value, SecretEnv) else f"  {name}={shlex.quote(value)}"
        for name, value in self.measuring_env.items():
            yield f"  {name}={shlex.quote(value)}  # while it is measured"
        for path, content in self.files.items():
            yield f"  {_FILES}/{path}:"
            yield from (f"    {line}" for line in content.splitlines())


def shown_rank(rank: Rank) -> ShownRank:
    return ShownRank(
        argv=tuple(map(_bound, rank.argv)),
        env={k: value if isinstance(value, SecretEnv) else _bound(value) for k, value in rank.env.items()},
        measuring_env=dict(rank.measuring_env),
        files=dict(rank.files),
    )


def _bound(template: str) -> str:
    return template.format(host="HOST", port="PORT", rank0=_Place("RANK0_HOST", "RANK0_PORT"), files=_FILES)
