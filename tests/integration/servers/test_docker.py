"""Real containers of a real docker daemon, with a real llama.cpp server in them."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from autotuner.engines import EngineAnswer, Mount, get_engine
from autotuner.errors import Failure, InfrastructureError, LaunchError
from autotuner.servers import ask_version, find_leftovers, owner_tag, reap, tags
from autotuner.servers.docker.client import fetch_image, image_id
from autotuner.servers.docker.gpu_holders import wait_until_unheld
from autotuner.servers.docker.launcher import DockerLauncher
from autotuner.servers.docker.settings import ContainerSettings
from autotuner.servers.supervision.tags import HOLDER, OWNER
from autotuner.study.model import Study
from benchmarks.dockerd import IMAGE, Dockerd, dockerd, why_not
from tests.integration.docker_rig import diagnose, llama_request, request, use_daemon
from tests.integration.registry import NAME, TAG, registry

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "docker runs")
DEAD = f"{os.uname().nodename}:999999:1"
ELSEWHERE = "gone.invalid:1:1"
# The image has this interpreter where it lies here.
PYTHON = str(Path(sys.executable).resolve())


@pytest.fixture(scope="module")
def daemon() -> Iterator[Dockerd]:
    with dockerd() as running:
        yield running


@pytest.fixture(autouse=True)
def docker_host(daemon: Dockerd, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from use_daemon(daemon, monkeypatch)


def test_a_real_server_in_a_container_answers_and_is_gone_when_it_is_stopped(
    daemon: Dockerd, tiny_model: Path, tmp_path: Path
) -> None:
    launcher = DockerLauncher(ContainerSettings(shm_gib=0.1, memory_gib=2, options={"cap_add": ["SYS_NICE"]}))
    with launcher.launch(llama_request(tiny_model, tmp_path, env={"SECRET": "s3cr3t"}), diagnose) as server:
        with urllib.request.urlopen(f"{server.urls[0]}/health", timeout=10) as answer:
            assert answer.status == 200
        [name] = daemon.containers()
        [told] = json.loads(daemon.docker("inspect", name).stdout)
        assert told["HostConfig"]["NetworkMode"] == told["HostConfig"]["IpcMode"] == "host"
        assert told["HostConfig"]["Init"] is True
        assert told["HostConfig"]["Memory"] == told["HostConfig"]["MemorySwap"] == 2 * 1024**3
        assert told["HostConfig"]["CapAdd"] in (["SYS_NICE"], ["CAP_SYS_NICE"])
        labels = told["Config"]["Labels"]
        assert labels["autotuner.study"] == "docker-test"
        assert labels["autotuner.trial"] == "0000"
        assert labels["autotuner.owner"] == labels["autotuner.holder"] == owner_tag()
        assert labels["autotuner.node"] == os.uname().nodename
        assert labels["autotuner.launch"].startswith("0000-l1/")
        environment = set(told["Config"]["Env"])
        assert {"SECRET=s3cr3t", "NVIDIA_VISIBLE_DEVICES=void", "CUDA_VISIBLE_DEVICES="} <= environment
        assert f"AUTOTUNER_LAUNCH={labels['autotuner.launch']}" in environment
        assert "s3cr3t" not in str(told["Args"]) + str(labels)
        assert not list((tmp_path / "work").rglob("container.json")), "the file with the secret is gone"
        assert server.exit_code() is None
    assert daemon.containers() == []
    log = (tmp_path / "logs" / "0000-l1-rank0.log").read_text(encoding="utf-8")
    assert log.strip(), "the container's output lies in the study's folder"
    assert "s3cr3t" not in log


def test_leased_cores_and_shared_memory_of_its_own(daemon: Dockerd, tiny_model: Path, tmp_path: Path) -> None:
    core = min(os.sched_getaffinity(0))
    launcher = DockerLauncher(ContainerSettings(shm_gib=0.5, options={"ipc_mode": "private"}))
    with launcher.launch(replace(llama_request(tiny_model, tmp_path), cores=(core,)), diagnose):
        [told] = json.loads(daemon.docker("inspect", *daemon.containers()).stdout)
        assert told["HostConfig"]["CpusetCpus"] == str(core)
        assert told["HostConfig"]["IpcMode"] == "private"
        assert told["HostConfig"]["ShmSize"] == 2**29


def test_what_a_server_compiled_is_there_for_the_next_of_its_image_unless_it_is_not_to_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    script = (
        "import os, pathlib; kept = pathlib.Path(os.environ.get('TRITON_CACHE_DIR', '/tmp/none')) / 'kernel'; "
        "print('kept:', kept.exists()); kept.parent.mkdir(parents=True, exist_ok=True); kept.touch(); "
        "print('vllm:', os.environ.get('VLLM_CACHE_ROOT'))"
    )

    def said(place: str, settings: ContainerSettings) -> list[str]:
        asking = request(tmp_path / place, (PYTHON, "-c", script), env={"VLLM_CACHE_ROOT": "/tmp/mine"})
        with pytest.raises(LaunchError):
            DockerLauncher(settings).launch(asking, diagnose)
        return (tmp_path / place / "logs" / "0000-l1-rank0.log").read_text(encoding="utf-8").splitlines()

    kept, apart = ContainerSettings(), ContainerSettings(keeps_compiled=False)
    assert said("first", kept) == ["kept: False", "vllm: /tmp/mine"]
    assert said("second", kept) == ["kept: True", "vllm: /tmp/mine"]
    assert said("third", apart) == ["kept: False", "vllm: /tmp/mine"]
    [folder] = (tmp_path / "cache" / "autotuner" / "compiled").iterdir()
    assert folder.name == IMAGE.replace(":", "-")
    assert (folder.stat().st_mode & 0o777, folder.parent.stat().st_mode & 0o777) == (0o777, 0o700)


# ── what does not start ───────────────────────────────────────────────────────────────────────


def test_a_server_that_dies_in_its_container_is_diagnosed_by_its_engine(tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(LaunchError) as caught:
        DockerLauncher().launch(llama_request(tiny_model, tmp_path, "--no-such-flag"), diagnose)
    assert caught.value.failure is Failure.INVALID_CONFIG
    assert "--no-such-flag" in caught.value.message


def test_a_server_beyond_the_memory_limit_is_out_of_memory(tmp_path: Path) -> None:
    argv = (PYTHON, "-c", "print('loading', end='', flush=True); b'x' * (1 << 30)")
    with pytest.raises(LaunchError) as caught:
        DockerLauncher(ContainerSettings(memory_gib=0.1)).launch(request(tmp_path, argv), diagnose)
    assert caught.value.failure is Failure.OUT_OF_MEMORY_AT_START
    assert "memory limit of 107374182 bytes" in caught.value.message


def test_a_program_that_the_image_has_not_is_no_fault_of_the_node(tmp_path: Path) -> None:
    with pytest.raises(LaunchError) as caught:
        DockerLauncher().launch(request(tmp_path, ("no-such-server",)), diagnose)
    assert caught.value.failure is Failure.INVALID_CONFIG
    assert "no-such-server" in caught.value.message


def test_a_missing_mount_is_the_nodes_fault(tmp_path: Path) -> None:
    gone = str(tmp_path / "gone.gguf")
    with pytest.raises(LaunchError, match=r"gone\.gguf") as caught:
        DockerLauncher().launch(request(tmp_path, ("llama-server",), (Mount(gone, gone),)), diagnose)
    assert caught.value.failure is Failure.INFRASTRUCTURE


def test_a_runtime_that_is_not_there_is_the_nodes_fault(tiny_model: Path, tmp_path: Path) -> None:
    launcher = DockerLauncher(ContainerSettings(options={"runtime": "no-such-runtime"}))
    with pytest.raises(LaunchError, match="no-such-runtime") as caught:
        launcher.launch(llama_request(tiny_model, tmp_path), diagnose)
    assert caught.value.failure is Failure.INFRASTRUCTURE


def test_a_daemon_that_does_not_run_is_the_nodes_fault(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(LaunchError, match="docker: ") as caught:
        DockerLauncher().launch(llama_request(tiny_model, tmp_path), diagnose)
    assert caught.value.failure is Failure.INFRASTRUCTURE


# ── images ────────────────────────────────────────────────────────────────────────────────────


def test_an_image_that_is_not_here_is_pulled(daemon: Dockerd) -> None:
    with registry() as host:
        name = f"{host}/{NAME}:{TAG}"
        assert image_id(name) is None
        fetch_image(name)
        fetched = image_id(name)
    assert fetched is not None
    fetch_image(name)  # without a registry: it is here
    daemon.docker("rmi", name)


def test_an_image_that_nobody_has_is_the_nodes_fault(tiny_model: Path, tmp_path: Path) -> None:
    with registry() as host, pytest.raises(LaunchError, match=f"{NAME}:2' can't be pulled.*unknown") as caught:
        DockerLauncher().launch(llama_request(tiny_model, tmp_path, image=f"{host}/{NAME}:2"), diagnose)
    assert caught.value.failure is Failure.INFRASTRUCTURE


# ── whose containers are whose ────────────────────────────────────────────────────────────────


def create(daemon: Dockerd, name: str, **labels: str) -> None:
    words = [word for key, value in labels.items() for word in ("--label", f"autotuner.{key}={value}")]
    daemon.docker("create", "--name", name, *words, IMAGE, "llama-server")


def test_reap_takes_containers_of_the_dead_and_spares_all_others(daemon: Dockerd) -> None:
    create(daemon, "of-the-dead", study="reaped", trial="0007", owner=DEAD)
    create(daemon, "held-by-the-dead", study="reaped", owner=ELSEWHERE, holder=DEAD)
    create(daemon, "of-the-living", study="reaped", owner=owner_tag(), holder=owner_tag())
    create(daemon, "of-elsewhere", study="reaped", owner=ELSEWHERE)
    create(daemon, "a-strangers")
    dead = ["held-by-the-dead", "of-the-dead"]
    assert sorted(left.container for left in find_leftovers("reaped")) == dead
    ended = reap("reaped")
    assert sorted(left.container for left in ended) == dead
    assert {left.trial for left in ended} == {"0007", ""}
    assert sorted(daemon.containers()) == ["a-strangers", "of-elsewhere", "of-the-living"]
    daemon.docker("rm", *daemon.containers())


def test_a_gpu_is_free_when_no_container_of_ours_has_it(daemon: Dockerd) -> None:
    create(daemon, "of-the-dead", study="s", holder=DEAD, gpus="0,3")
    create(daemon, "on-other-gpus", study="s", holder=owner_tag(), gpus="1,2")
    create(daemon, "of-the-living", study="s", trial="0003", holder=owner_tag(), gpus="4")
    wait_until_unheld(("3",), 10)
    assert sorted(daemon.containers()) == ["of-the-living", "on-other-gpus"]
    with pytest.raises(
        InfrastructureError, match="GPU 4 is still in container of-the-living, of trial 0003 of study s"
    ):
        wait_until_unheld(("4", "5"), 0.2)
    daemon.docker("rm", *daemon.containers())


def test_tags_name_who_holds_a_server() -> None:
    assert tags("s", "0000", "driver:1:2")[OWNER] == "driver:1:2"
    assert tags("s", "0000", "driver:1:2")[HOLDER] == owner_tag()


# ── engine.version: auto ──────────────────────────────────────────────────────────────────────


def test_an_image_is_asked_for_its_engines_version_once(
    daemon: Dockerd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    script = tmp_path / "server"
    script.write_text(
        '#!/bin/sh\ncase "$1" in --version) echo "version: 6730 ($SUFFIX)";; --help) echo "--ctx-size N";; esac\n'
    )
    script.chmod(0o755)
    daemon.docker("create", "--name", "made", IMAGE, "sh")
    daemon.docker("cp", str(script), "made:/usr/bin/server")
    daemon.docker("commit", "made", "versioned:1")
    daemon.docker("rm", "made")
    engine = {"name": "llamacpp", "version": "auto", "command": ["server"], "image": "versioned:1"}
    keys = {"model": {"id": "/m.gguf"}, "launcher": {"kind": "docker"}, "workload": {"scenario": "D(8,8)"}}
    study = Study.model_validate({**keys, "engine": {**engine, "env": {"SUFFIX": "{x}"}}})
    answer = ask_version(get_engine("llamacpp"), study)
    assert answer == EngineAnswer("6730", "server", frozenset({"ctx-size"}))
    assert daemon.containers() == []
    with monkeypatch.context() as patched:
        patched.setattr("autotuner.servers.docker.question.said", None)  # asked again it would fail
        assert ask_version(get_engine("llamacpp"), study) == answer
    gone = study.model_copy(update={"engine": study.engine.model_copy(update={"image": "no-such:1"})})
    assert ask_version(get_engine("llamacpp"), gone, may_pull=False) is None
