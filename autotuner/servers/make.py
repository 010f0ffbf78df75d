"""The launcher that a study asks for."""

from __future__ import annotations

from pathlib import PurePath

from autotuner.engines import ModelFormat, get_engine
from autotuner.servers.docker.launcher import DockerLauncher
from autotuner.servers.docker.starter import ContainerSettings
from autotuner.servers.endpoint import EndpointLauncher
from autotuner.servers.launcher import Launcher
from autotuner.servers.process import ProcessLauncher
from autotuner.servers.rank_starter import ProcessStarter, RankStarter
from autotuner.servers.secrets import resolve_headers
from autotuner.study import docker_words, model
from autotuner.study.model import Study


def make_starter(study: Study) -> RankStarter:
    """How the launcher of ``make_launcher`` starts the ranks of one share, for nodes beside its own."""
    launcher = make_launcher(study)
    return launcher.starter() if isinstance(launcher, ProcessLauncher | DockerLauncher) else ProcessStarter()


def make_launcher(study: Study) -> Launcher:
    """The launcher of the study's ``launcher.kind``. Raises StudyError for a secret that is not set."""
    if isinstance(study.launcher, model.EndpointLauncher):
        return EndpointLauncher(study.launcher.url, resolve_headers(study))
    if isinstance(study.launcher, model.DockerLauncher):
        section = study.launcher
        of_hub = all(get_engine(name).model_format is ModelFormat.HUB for name in study.engine.names)
        settings = ContainerSettings(
            shm_gib=section.shm_gib,
            memory_gib=section.memory_gib,
            options=docker_words.read(section.extra_args),
            mounts_hub_cache=of_hub and not PurePath(study.model.id).is_absolute(),
        )
        return DockerLauncher(settings)
    return ProcessLauncher()
