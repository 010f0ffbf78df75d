"""The docker daemon of this node. The only file that imports the docker SDK."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autotuner.errors import InfrastructureError
from autotuner.servers.docker.labels import STUDY_LABEL

if TYPE_CHECKING:
    from docker import DockerClient

_SOCKET = Path("/var/run/docker.sock")
_TIMEOUT_S = 30.0
_EVENT_LAG_S = 0.5
_PULL_TIMEOUT_S = 3600.0  # images of GPU engines have 10 to 30 GB


@dataclass(frozen=True)
class FoundContainer:
    """One of our containers, running or ended. ``command``: its argv, for people to read."""

    id: str
    name: str
    labels: Mapping[str, str]
    command: str
    is_running: bool


def may_be_here() -> bool:
    """Whether it is worth asking for a daemon at all."""
    return bool(os.environ.get("DOCKER_HOST")) or _SOCKET.exists()


@contextlib.contextmanager
def daemon(timeout_s: float = _TIMEOUT_S) -> Iterator[DockerClient]:
    """A connection to the daemon of ``DOCKER_HOST``, by default the local socket's.

    Raises InfrastructureError when it does not answer within ``timeout_s`` seconds, then or while it is used.
    """
    import docker
    import requests
    import urllib3

    client = None
    try:
        client = docker.from_env(timeout=timeout_s)
        client.ping()
        yield client
    except (requests.RequestException, urllib3.exceptions.HTTPError, docker.errors.DockerException) as error:
        raise InfrastructureError(f"docker: {_told(error)}", key="launcher.kind", value="docker") from error
    finally:
        if client is not None:
            client.close()


def our_containers(timeout_s: float = _TIMEOUT_S) -> list[FoundContainer]:
    """Every container with our label, those that have ended too. Raises InfrastructureError."""
    with daemon(timeout_s) as client:
        found = client.api.containers(all=True, filters={"label": STUDY_LABEL})
    return [
        FoundContainer(
            id=one["Id"],
            name=one["Names"][0].lstrip("/") if one.get("Names") else one["Id"][:12],
            labels=one.get("Labels") or {},
            command=str(one.get("Command", "")),
            is_running=one.get("State") == "running",
        )
        for one in found
    ]


def remove(container: str) -> None:
    """Kills and removes it, by id or name; one that is gone is no error. Raises InfrastructureError."""
    import docker

    with daemon() as client, contextlib.suppress(docker.errors.NotFound):
        client.api.remove_container(container, force=True, v=True)


def ended_by_itself(client: DockerClient, container_id: str) -> bool:
    """Whether the daemon saw an ended container end, and had sent it no signal before.

    ``docker stop`` and ``docker kill`` send one, and so do a daemon that stops and one that comes up after it was
    killed: the exit code that follows (143, 137, whatever the server makes of SIGTERM) is not the server's doing.
    """
    told = client.api.events(
        since=0,
        until=f"{time.time() + _EVENT_LAG_S:.3f}",  # the daemon acts first, and tells of it after
        filters={"container": container_id, "event": ["kill", "die"]},
        decode=True,
    )
    return [event["Action"] for event in told] == ["die"]


def image_id(name: str) -> str | None:
    """The id of an image that the daemon has; ``None``: it would have to be pulled. Raises InfrastructureError."""
    import docker

    with daemon() as client:
        try:
            return str(client.api.inspect_image(name)["Id"])
        except docker.errors.NotFound:
            return None


def fetch_image(name: str) -> None:
    """Pulls an image that the daemon does not have. Raises InfrastructureError when it can't be had in time."""
    if image_id(name) is not None:
        return
    failed: list[str] = []

    def pull() -> None:
        try:
            with daemon() as client:
                failed.extend(
                    told["error"] for told in client.api.pull(name, stream=True, decode=True) if "error" in told
                )
        except InfrastructureError as error:
            failed.append(error.message)

    # The SDK pulls without a time-out, and a registry that hangs must not hang a trial.
    pulling = threading.Thread(target=pull, name=f"pull {name}", daemon=True)
    pulling.start()
    pulling.join(_PULL_TIMEOUT_S)
    if pulling.is_alive():
        failed.append(f"not done within {_PULL_TIMEOUT_S:g} s")
    if failed:
        raise InfrastructureError(f"image {name!r} can't be pulled: {failed[0]}", key="engine.image", value=name)


def runtimes() -> tuple[str, tuple[str, ...]]:
    """The daemon's version and its runtimes. Raises InfrastructureError."""
    with daemon() as client:
        info: dict[str, Any] = client.info()
    return str(info.get("ServerVersion", "")), tuple(sorted(info.get("Runtimes") or {}))


def _told(error: Exception) -> str:
    """The daemon's own words, in a line."""
    explanation = getattr(error, "explanation", None)
    return " ".join(str(explanation or error).split())
