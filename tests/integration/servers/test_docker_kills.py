"""Containers end with their trial, whatever is killed: by its supervisor, or by the node agent."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from autotuner.errors import ServerLostError
from autotuner.servers import find_leftovers
from autotuner.servers.docker.launcher import DockerLauncher
from benchmarks.dockerd import Dockerd, dockerd, why_not
from tests.e2e.studies import living, wait_until
from tests.integration.docker_rig import (
    GONE_S,
    diagnose,
    held_server,
    keepers,
    kill_family,
    llama_request,
    use_daemon,
    wait_until_removed,
)

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "docker runs")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Dockerd]:
    with dockerd() as running:
        yield running


@pytest.fixture(autouse=True)
def docker_host(daemon: Dockerd, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from use_daemon(daemon, monkeypatch)


def wait_until_ended(study: str) -> None:
    wait_until(lambda: not living("AUTOTUNER_STUDY", study), "the server's processes to end", GONE_S)


def test_killing_the_launching_process_removes_the_container(daemon: Dockerd, tiny_model: Path, tmp_path: Path) -> None:
    with held_server(tiny_model, tmp_path, "killed-holder") as holder:
        assert len(daemon.containers()) == 1
        holder.kill()
        wait_until_removed(daemon)
    wait_until_ended("killed-holder")


@pytest.mark.alone
def test_killing_everything_at_once_leaves_the_container_to_the_node_agent(
    daemon: Dockerd, tiny_model: Path, tmp_path: Path
) -> None:
    with held_server(tiny_model, tmp_path, "killed-family") as holder:
        kill_family(holder.pid)
        assert len(daemon.containers()) == 1
        assert {left.study for left in find_leftovers("killed-family")} == {"killed-family"}
        wait_until_removed(daemon)
    wait_until_ended("killed-family")


def test_killing_what_owns_the_container_removes_it_while_its_trial_lives(
    daemon: Dockerd, tiny_model: Path, tmp_path: Path
) -> None:
    with held_server(tiny_model, tmp_path, "killed-keeper") as holder:
        [keeper] = keepers(holder.pid)
        keeper.kill()
        wait_until_removed(daemon)
        assert holder.poll() is None


def test_a_stop_removes_what_its_killed_owner_left(daemon: Dockerd, tiny_model: Path, tmp_path: Path) -> None:
    server = DockerLauncher().launch(llama_request(tiny_model, tmp_path), diagnose)
    [keeper] = keepers(os.getpid())
    keeper.suspend()
    [name] = daemon.containers()
    keeper.kill()
    server.stop()
    assert name not in daemon.containers()


def test_a_killed_daemon_says_nothing_about_the_config_and_leaves_nothing(
    daemon: Dockerd, tiny_model: Path, tmp_path: Path
) -> None:
    server = DockerLauncher().launch(llama_request(tiny_model, tmp_path, study="lost-daemon"), diagnose)
    daemon.kill()
    with pytest.raises(ServerLostError, match="docker"):
        server.exit_code(within_s=60)
    server.stop()
    wait_until_ended("lost-daemon")
    daemon.start()
    wait_until_removed(daemon)  # what it remembers of it


@pytest.mark.parametrize("ends", ["docker stop", "docker kill", "restart", "kill -9"])
def test_a_container_that_docker_itself_ends_says_nothing_about_the_config(
    daemon: Dockerd, tiny_model: Path, tmp_path: Path, ends: str
) -> None:
    server = DockerLauncher().launch(llama_request(tiny_model, tmp_path, study="ended-by-docker"), diagnose)
    [container] = daemon.containers()
    [keeper] = keepers(os.getpid())
    keeper.suspend()  # it sees what comes of it only when the daemon is up again
    match ends.split():
        case ["docker", command]:
            daemon.docker(command, container)
        case ["restart"]:
            daemon.restart()
        case _:
            daemon.kill()
            daemon.start()
    keeper.resume()
    with pytest.raises(ServerLostError, match="docker"):
        server.exit_code(within_s=60)
    server.stop()
    wait_until_removed(daemon)


def test_killing_daemon_and_everything_else_leaves_the_processes_to_the_node_agent(
    daemon: Dockerd, tiny_model: Path, tmp_path: Path
) -> None:
    with held_server(tiny_model, tmp_path, "lost-everything") as holder:
        daemon.kill()
        kill_family(holder.pid)
        wait_until_ended("lost-everything")
    daemon.start()
    wait_until_removed(daemon)
