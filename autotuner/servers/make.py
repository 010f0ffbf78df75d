"""The launcher that a study asks for."""

from __future__ import annotations

from autotuner.servers.docker.launcher import DockerLauncher
from autotuner.servers.docker.settings import container_settings
from autotuner.servers.endpoint import EndpointLauncher
from autotuner.servers.launcher import Launcher
from autotuner.servers.process import ProcessLauncher
from autotuner.servers.secrets import resolve_headers
from autotuner.servers.supervision.rank_starter import ProcessStarter, RankStarter
from autotuner.study import model
from autotuner.study.model import Study


def make_starter(study: Study) -> RankStarter:
    """How the launcher of ``make_launcher`` starts the ranks of one share, for nodes beside its own."""
    launcher = make_launcher(study)
    return launcher.starter() if isinstance(launcher, ProcessLauncher | DockerLauncher) else ProcessStarter()


def make_launcher(study: Study) -> Launcher:
    """The launcher of the study's ``launcher.kind``. Raises StudyError for a secret that is not set."""
    if isinstance(study.launcher, model.EndpointLauncher):
        return EndpointLauncher(
            study.launcher.url, resolve_headers(study), study.launcher.insecure, study.model.served_name
        )
    if isinstance(study.launcher, model.DockerLauncher):
        return DockerLauncher(container_settings(study, study.launcher))
    return ProcessLauncher()
