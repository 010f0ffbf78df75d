"""ContainerSettings: what a study says of every container."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from autotuner.engines import ModelFormat, get_engine
from autotuner.study import docker_words
from autotuner.study.model import DockerLauncher, Study


@dataclass(frozen=True)
class ContainerSettings:
    """``options`` are keyword arguments of docker's SDK; the hub's cache is mounted where models come from there.

    ``keeps_compiled``: what a server compiles is kept on the node for the next container of the image.
    """

    shm_gib: float | None = None
    memory_gib: float | None = None
    options: dict[str, Any] = field(default_factory=dict)
    mounts_hub_cache: bool = False
    keeps_compiled: bool = True


def container_settings(study: Study, section: DockerLauncher) -> ContainerSettings:
    """Those of the study's ``launcher`` section. Raises StudyError for a word of ``extra_args`` that is not taken."""
    of_hub = all(get_engine(name).model_format is ModelFormat.HUB for name in study.engine.names)
    return ContainerSettings(
        shm_gib=section.shm_gib,
        memory_gib=section.memory_gib,
        options=docker_words.read(section.extra_args),
        mounts_hub_cache=of_hub and not PurePath(study.model.id).is_absolute(),
        keeps_compiled=section.compile_cache,
    )
