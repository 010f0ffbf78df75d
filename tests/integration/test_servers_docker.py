"""Real containers of a real docker daemon, with a real llama.cpp server in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from autotuner.engines import Deployment, FailureReport, Mount, Rank, ServerGroup
from autotuner.errors import Failure, LaunchError, ServerLostError
from autotuner.servers import LaunchRequest, find_leftovers, owner_tag, reap, tags
from autotuner.servers.docker.launcher import DockerLauncher
from autotuner.servers.docker.settings import ContainerSettings
from autotuner.servers.tags import HOLDER, OWNER
from tests.e2e.studies import wait_until
from tests.integration.dockerd import IMAGE, Dockerd, dockerd, why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "docker runs")
DEAD = "gone.invalid"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Dockerd]:
    with dockerd() as running:
        yield running


@pytest.fixture(autouse=True)
def docker_host(daemon: Dockerd, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("DOCKER_HOST", daemon.host)
    yield
    assert not daemon.is_up or daemon.containers() == []


def diagnose(exit_code: int | None, log_tail: str) -> FailureReport:
    return FailureReport(Failure.CRASH, f"exit code {exit_code}: {log_tail[-200:]}")


def request(model: Path, folder: Path, *words: str, study: str = "docker-test", **rank: object) -> LaunchRequest:
    argv = ("llama-server", "--model", str(model), "--host", "{host}", "--port", "{port}", "--ctx-size", "512", *words)
    group = ServerGroup((Rank(argv, **rank),))  # type: ignore[arg-type]
    mounts = (Mount(str(model), str(model)),)
    return LaunchRequest(
        deployment=Deployment("llamacpp", "1", str(model), "tiny", (group,), image=IMAGE, mounts=mounts),
        launch_id="0000-l1",
        log_dir=folder / "logs",
        work_dir=folder / "work",
        tags=tags(study, "0000", owner_tag()),
        start_timeout_s=60.0,
    )


def test_a_real_server_in_a_container_answers_and_is_gone_when_it_is_stopped(
    daemon: Dockerd, tiny_model: Path, tmp_path: Path
) -> None:
    launcher = DockerLauncher(ContainerSettings(shm_gib=0.1, memory_gib=2, options={"cap_add": ["SYS_NICE"]}))
    with launcher.launch(request(tiny_model, tmp_path, env={"SECRET": "s3cr3t"}, gpus=0), diagnose) as server:
        with urllib.request.urlopen(f"{server.urls[0]}/health", timeout=10) as answer:
            assert answer.status == 200
        [name] = daemon.containers()
        [told] = json.loads(daemon.docker("inspect", name).stdout)
        assert told["HostConfig"]["NetworkMode"] == told["HostConfig"]["IpcMode"] == "host"
        assert told["HostConfig"]["Init"] is True
        assert told["HostConfig"]["Memory"] == 2 * 1024**3
        assert told["HostConfig"]["CapAdd"] in (["SYS_NICE"], ["CAP_SYS_NICE"])
        labels = told["Config"]["Labels"]
        assert labels["autotuner.study"] == "docker-test"
        assert labels["autotuner.trial"] == "0000"
        assert labels["autotuner.owner"] == labels["autotuner.holder"] == owner_tag()
        assert labels["autotuner.node"] == os.uname().nodename
        assert {"SECRET=s3cr3t", "NVIDIA_VISIBLE_DEVICES=void"} <= set(told["Config"]["Env"])
        assert "s3cr3t" not in str(told["Args"]) + str(labels)
        assert not list((tmp_path / "work").rglob("container.json")), "the file with the secret is gone"
        assert server.exit_code() is None
    assert daemon.containers() == []
    log = (tmp_path / "logs" / "0000-l1-rank0.log").read_text(encoding="utf-8")
    assert log.strip(), "the container's output lies in the study's folder"
    assert "s3cr3t" not in log


def test_a_server_that_dies_in_its_container_is_diagnosed(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(LaunchError) as caught:
        DockerLauncher().launch(request(tiny_model, tmp_path, "--no-such-flag"), diagnose)
    assert caught.value.failure is Failure.CRASH
    assert "exit code" in caught.value.message


def test_an_image_that_is_not_there_is_the_nodes_fault(tiny_model: Path, tmp_path: Path) -> None:
    asked = request(tiny_model, tmp_path)
    missing = Deployment("llamacpp", "1", "m", "tiny", asked.deployment.groups, image="no-such-image:1")
    with pytest.raises(LaunchError) as caught:
        DockerLauncher().launch(LaunchRequest(**{**vars(asked), "deployment": missing}), diagnose)
    assert caught.value.failure is Failure.INFRASTRUCTURE


_HOLD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from tests.integration.test_servers_docker import request, diagnose
from autotuner.servers.docker.launcher import DockerLauncher
server = DockerLauncher().launch(request(Path(sys.argv[1]), Path(sys.argv[2])), diagnose)
print("up", flush=True)
time.sleep(600)
"""


def start_holder(model: Path, folder: Path) -> subprocess.Popen[str]:
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", _HOLD, str(model), str(folder), root]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "up\n"
    return holder


def test_killing_the_launching_process_removes_the_container(daemon: Dockerd, tiny_model: Path, tmp_path: Path) -> None:
    with start_holder(tiny_model, tmp_path) as holder:
        assert len(daemon.containers()) == 1
        holder.kill()
    wait_until(lambda: daemon.containers() == [], "the container to go", 15)


def test_killing_everything_at_once_leaves_the_container_to_the_node_agent(
    daemon: Dockerd, tiny_model: Path, tmp_path: Path
) -> None:
    import psutil

    with start_holder(tiny_model, tmp_path) as holder:
        family = [psutil.Process(holder.pid), *psutil.Process(holder.pid).children(recursive=True)]
        for process in family:
            process.suspend()
        for process in family:
            process.kill()
    assert len(daemon.containers()) == 1
    wait_until(lambda: daemon.containers() == [], "the agent to remove the container", 15)


def test_reap_takes_containers_of_the_dead_and_spares_all_others(daemon: Dockerd) -> None:
    dead = f"{os.uname().nodename}:999999:1"
    owners = {"of-the-dead": dead, "of-the-living": owner_tag(), "of-elsewhere": f"{DEAD}:1:1"}
    for name, owner in owners.items():
        labels = ["--label", "autotuner.study=reaped", "--label", f"autotuner.owner={owner}"]
        daemon.docker("create", "--name", name, *labels, IMAGE, "llama-server")
    daemon.docker("create", "--name", "a-strangers", IMAGE, "llama-server")
    assert [left.container for left in find_leftovers("reaped")] == ["of-the-dead"]
    assert [left.container for left in reap("reaped")] == ["of-the-dead"]
    assert sorted(daemon.containers()) == ["a-strangers", "of-elsewhere", "of-the-living"]
    for name in daemon.containers():
        daemon.docker("rm", name)


def test_tags_name_who_holds_a_server() -> None:
    assert tags("s", "0000", "driver:1:2")[OWNER] == "driver:1:2"
    assert tags("s", "0000", "driver:1:2")[HOLDER] == owner_tag()


def test_a_daemon_that_is_killed_says_nothing_about_the_config_and_leaves_nothing(
    daemon: Dockerd, tiny_model: Path, tmp_path: Path
) -> None:
    from tests.e2e.studies import living

    server = DockerLauncher().launch(request(tiny_model, tmp_path, study="lost-daemon"), diagnose)
    daemon.kill()
    with pytest.raises(ServerLostError):
        server.exit_code(within_s=60)
    server.stop()
    wait_until(lambda: not living("AUTOTUNER_STUDY", "lost-daemon"), "the server's processes to end", 30)
