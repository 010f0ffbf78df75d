"""What tests of containers share: a daemon of their own, launches of a real llama.cpp, a process that holds one."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from autotuner.engines import Deployment, FailureReport, Mount, Rank, ServerGroup, get_engine
from autotuner.servers import LaunchRequest, owner_tag, tags
from benchmarks.dockerd import IMAGE, Dockerd
from tests.e2e.studies import wait_until

GONE_S = 60.0  # the agent's promise is 5 s, of a machine that is not busy with other tests
_HOLD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.integration.docker_rig import diagnose, llama_request
from autotuner.servers.docker.launcher import DockerLauncher
server = DockerLauncher().launch(llama_request(Path(sys.argv[1]), Path(sys.argv[2]), study=sys.argv[4]), diagnose)
print("up", flush=True)
time.sleep(600)
"""


def diagnose(exit_code: int | None, log: str) -> FailureReport:
    return get_engine("llamacpp").diagnose(exit_code, log)


def llama_request(
    model: Path, folder: Path, *words: str, study: str = "docker-test", image: str = IMAGE, **rank: Any
) -> LaunchRequest:
    argv = ("llama-server", "--model", str(model), "--host", "{host}", "--port", "{port}", "--ctx-size", "512", *words)
    return request(folder, argv, (Mount(str(model), str(model)),), study=study, image=image, **rank)


def request(
    folder: Path,
    argv: tuple[str, ...],
    mounts: tuple[Mount, ...] = (),
    *,
    study: str = "docker-test",
    image: str = IMAGE,
    **rank: Any,
) -> LaunchRequest:
    groups = (ServerGroup((Rank(argv, **rank),)),)
    return LaunchRequest(
        deployment=Deployment("llamacpp", "1", "m", "tiny", groups, image=image, mounts=mounts),
        launch_id="0000-l1",
        log_dir=folder / "logs",
        work_dir=folder / "work",
        tags=tags(study, "0000", owner_tag()),
        start_timeout_s=60.0,
    )


@contextlib.contextmanager
def held_server(model: Path, folder: Path, study: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has a server in a container, and does nothing more."""
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", _HOLD, str(model), str(folder), root, study]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "up\n"
            yield holder
        finally:
            holder.kill()


def kill_family(pid: int) -> None:
    """SIGKILLs a process with all below it before any of them can act on the death of another."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    for process in family:
        process.suspend()
    for process in family:
        process.kill()


def keepers(above: int) -> list[psutil.Process]:
    """The processes below ``above`` that own a container each."""
    below = psutil.Process(above).children(recursive=True)
    return [process for process in below if "autotuner.servers.docker.rank" in process.cmdline()]


def wait_until_removed(daemon: Dockerd) -> None:
    wait_until(lambda: daemon.containers() == [], "the container to be removed", GONE_S)


def use_daemon(daemon: Dockerd, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """For a fixture of every test: its daemon is this one, and no container of it is left there."""
    monkeypatch.setenv("DOCKER_HOST", daemon.host)
    yield
    if daemon.is_up:
        wait_until_removed(daemon)
