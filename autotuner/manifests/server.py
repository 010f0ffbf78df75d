"""The one server that a manifest deploys, taken out of a Deployment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

from autotuner.engines.deployment import Deployment, Mount, Rank, SecretEnv
from autotuner.errors import InputError


@dataclass(frozen=True)
class Server:
    """One rank and how often it runs; ``mounts`` holds a local model too."""

    rank: Rank
    replicas: int
    mounts: tuple[Mount, ...]

    @property
    def secrets(self) -> tuple[str, ...]:
        """The variables that secrets are read from, each once."""
        return tuple(dict.fromkeys(v.name for v in self.rank.env.values() if isinstance(v, SecretEnv)))


def only_server(deployment: Deployment) -> Server:
    """Raises InputError for a Deployment with no server, several roles or several ranks."""
    if not deployment.groups:
        raise InputError(
            "nothing to deploy: the study measured a server that already ran", key="launcher.kind", value="endpoint"
        )
    if len(deployment.groups) > 1 or len(deployment.groups[0].ranks) != 1:
        raise InputError(
            "no manifests are written yet of servers of more than one rank: the logs show each rank's command",
            key="groups",
            value=[f"{g.role}: {len(g.ranks)} ranks" for g in deployment.groups],
            rule="one group with one rank",
        )
    group = deployment.groups[0]
    for path in group.ranks[0].files:
        _check_file(path)
    return Server(group.ranks[0], group.replicas, _mounts(deployment))


def holds_model(mount: Mount, model: str) -> bool:
    """Whether a server finds the model, a path, in what is mounted."""
    return PurePosixPath(model).is_relative_to(mount.target)


def _mounts(deployment: Deployment) -> tuple[Mount, ...]:
    model = deployment.model
    mounted = any(holds_model(mount, model) for mount in deployment.mounts)
    if not model.startswith("/") or mounted:
        return deployment.mounts
    return (*deployment.mounts, Mount(model, model))


def _check_file(path: str) -> None:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise InputError(
            f"the file {path!r} leaves the server's folder",
            key="files",
            value=path,
            rule="a relative path without ..",
        )
