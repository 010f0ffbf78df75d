"""DockerLauncher: servers in containers of the engine's image, on each trial's nodes."""

from __future__ import annotations

from dataclasses import dataclass, field

from autotuner.servers.docker.settings import ContainerSettings
from autotuner.servers.docker.starter import DockerStarter
from autotuner.servers.launcher import Diagnose, LaunchRequest
from autotuner.servers.process import LaunchedServer, launch_shares
from autotuner.servers.supervision.rank_starter import RankStarter
from autotuner.servers.supervision.supervision import GRACE_S

_MORE_GRACE_S = 10.0  # docker stop, then the container's removal


@dataclass(frozen=True)
class DockerLauncher:
    """Starts a Deployment's servers in containers on the host's network, one for each rank."""

    settings: ContainerSettings = field(default_factory=ContainerSettings)
    grace_s: float = GRACE_S

    def starter(self) -> RankStarter:
        return DockerStarter(self.settings)

    def launch(self, request: LaunchRequest, diagnose: Diagnose) -> LaunchedServer:
        return launch_shares(request, diagnose, self.starter, self.grace_s + _MORE_GRACE_S)
