"""Asking a program of an image: in a container that is gone when it has answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from autotuner.engines import Address, Rank, literal
from autotuner.errors import InfrastructureError
from autotuner.servers.docker.client import fetch_image, image_id
from autotuner.servers.docker.settings import ContainerSettings
from autotuner.servers.docker.starter import DockerStarter
from autotuner.servers.supervision.rank_starter import RankOrder
from autotuner.servers.supervision.said import said
from autotuner.servers.supervision.supervision import RankProcess
from autotuner.servers.supervision.tags import owner_tag, tags

_GRACE_S = 10.0
_NOWHERE = Address("127.0.0.1", 0)


def known_image(name: str, *, may_pull: bool) -> str | None:
    """The id of an image; ``None`` where it is not here and can't, or may not, be pulled."""
    try:
        if may_pull:
            fetch_image(name)
        return image_id(name)
    except InfrastructureError:
        return None


def said_in_container(
    image: str,
    argv: Sequence[str],
    env: Mapping[str, str],
    gpu_ids: Sequence[str],
    settings: ContainerSettings,
    timeout_s: float,
) -> str | None:
    """What the program prints; ``None`` where it does not end well in time, or docker can't run it."""
    starter = DockerStarter(settings)
    rank = Rank(tuple(map(literal, argv)), {name: literal(value) for name, value in env.items()})

    def make(folder: Path, log: Path) -> RankProcess:
        order = RankOrder(
            rank=rank,
            own=_NOWHERE,
            rank0=_NOWHERE,
            folder=folder,
            log=log,
            gpu_ids=tuple(gpu_ids),
            cores=(),
            tags=tags("version-question", argv[0], owner_tag()),
            name="version",
            image=image,
        )
        return starter.command(order).process

    try:
        starter.prepare(image, gpu_ids)
        return said(make, timeout_s, _GRACE_S)
    except InfrastructureError:
        return None
    finally:
        starter.clean_up()
