"""The cluster of cluster/local: nodes with logical GPUs in one command, and gone in another; closed to others."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from ray._private.state import state as gcs_state
from ray.core.generated.gcs_pb2 import ActorTableData

from autotuner.errors import InfrastructureError, InputError
from autotuner.tuning.on_ray.ray_jobs import RayJobs
from autotuner.tuning.on_ray.session import ray_session
from benchmarks.scale_study import run_empty_trials
from tests.e2e.studies import AUTOTUNER, rows, wait_until
from tests.local_cluster import LocalCluster, local_cluster

_NODES = """
import json, ray
ray.init(log_to_driver=False, logging_level="ERROR")
print(json.dumps([[n["Labels"].get("autotuner/accelerator"), n["Resources"].get("GPU")] for n in ray.nodes()]))
"""
_WRONG = "0" * 64


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalCluster]:
    """A cluster of two nodes, for those who only look at it."""
    with local_cluster(os.environ) as cluster:
        cluster.up("--dashboard", "--cpus", "4", "2xH100-80GB", "1xL40S-48GB")
        yield cluster


@pytest.fixture
def local() -> Iterator[LocalCluster]:
    with local_cluster(os.environ) as cluster:
        yield cluster


@pytest.fixture
def stranger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """This process as a client without a token; its home folder."""
    for name in [name for name in os.environ if name.startswith("RAY_AUTH")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def let_in(monkeypatch: pytest.MonkeyPatch, cluster: LocalCluster) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.setenv(name, cluster.exports[name])


def test_a_shell_that_takes_over_what_it_prints_is_let_in(shared: LocalCluster) -> None:
    environment = {**shared.environment, **shared.exports}
    asked = [sys.executable, "-c", _NODES]
    answer = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(answer.stdout.splitlines()[-1])
    assert sorted(found, key=str) == sorted([["H100-80GB", 2.0], ["L40S-48GB", 1.0], [None, None]], key=str)
    assert shared("up").returncode == 2, "one at a time in a folder"


def test_it_listens_on_the_loopback_interface_alone(shared: LocalCluster) -> None:
    sockets = [c for process in shared.processes() for c in process.net_connections("tcp") if c.status == "LISTEN"]
    addresses = {socket.laddr.ip for socket in sockets}
    assert len(sockets) > 10
    assert {ip for ip in addresses if not ipaddress.ip_address(ip.removeprefix("::ffff:")).is_loopback} == set()


def test_the_address_of_rays_client_is_refused_with_what_to_give() -> None:
    address = "ray://127.0.0.1:10001"
    with pytest.raises(InputError, match="HOST:PORT of the cluster's control store") as caught, ray_session(address):
        pass
    assert (caught.value.key, caught.value.value) == ("address", address)


def test_its_folder_is_its_users_alone_and_each_node_has_one_of_its_own(shared: LocalCluster) -> None:
    assert shared.folder.stat().st_mode & 0o777 == 0o700
    assert (shared.folder / "token").stat().st_mode & 0o777 == 0o600
    assert [len(list((shared.folder / n).glob("session_2*"))) for n in ("head", "node-1", "node-2")] == [1, 1, 1]


def test_a_client_without_the_token_is_told_what_is_missing_and_where_it_is_looked_for(
    shared: LocalCluster, stranger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = stranger / ".ray" / "auth_token"
    assert refused(shared) == (
        f"the Ray cluster at {shared.address} asks for a token, and there is none here; looked for in RAY_AUTH_TOKEN "
        f"(not set), RAY_AUTH_TOKEN_PATH (not set) and {usual} (no such file or directory)"
    )
    assert "Ray's dashboard at http://" in refused_by_the_dashboard(shared)
    assert f"{usual} (no such file or directory)" in refused_by_the_dashboard(shared)
    usual.parent.mkdir()
    usual.write_text((shared.folder / "token").read_text(encoding="ascii"), encoding="ascii")
    assert refused(shared).endswith(f"none was sent: RAY_AUTH_MODE is not set; with token, {usual} is sent")
    assert refused_by_the_dashboard(shared).endswith(f"RAY_AUTH_MODE is not set; with token, {usual} is sent")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    with ray_session(shared.address):
        pass
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/nowhere/token")
    assert "/nowhere/token (no such file or directory), which RAY_AUTH_TOKEN_PATH names" in refused(shared)
    monkeypatch.setenv("RAY_AUTH_TOKEN", _WRONG)
    assert refused(shared).endswith("does not take the token of RAY_AUTH_TOKEN: it was started with another")
    assert refused_by_the_dashboard(shared).endswith("token of RAY_AUTH_TOKEN: it was started with another")


@pytest.mark.usefixtures("stranger")
def test_commands_tell_a_missing_token(shared: LocalCluster) -> None:
    environment = {**shared.environment, "HOME": "/nowhere"}
    for command in (["doctor"], ["reap", "--json"], ["fetch", "JOB", "--json"]):
        address = shared.dashboard if command[0] == "fetch" else shared.address
        asked = [*AUTOTUNER, *command, "--address", address]
        told = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert told.returncode == 3, told.stderr
        if "--json" in command:
            document = json.loads(told.stdout)
            assert (document["code"], document["key"], document["value"]) == ("infrastructure", "address", address)
            assert "RAY_AUTH_MODE=token" in document["rule"]
        assert "asks for a token, and there is none here" in " ".join((told.stdout + told.stderr).split())


def test_doctor_names_hosts_and_gpu_types(shared: LocalCluster) -> None:
    asked = [*AUTOTUNER, "doctor", "--address", shared.address, "--json"]
    environment = {**shared.environment, **shared.exports}
    told = subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=120, check=False)
    found = {f["part"]: f["detail"] for f in json.loads(told.stdout)["findings"] if f["part"].startswith("node ")}
    assert len(found) == 3
    assert all(part.startswith(f"node {socket.gethostname()}/") for part in found)
    assert sum("2 of 2 GPU free, of H100-80GB" in detail for detail in found.values()) == 1
    assert sum("1 of 1 GPU free, of L40S-48GB" in detail for detail in found.values()) == 1


def refused(cluster: LocalCluster) -> str:
    with pytest.raises(InfrastructureError) as caught, ray_session(cluster.address):
        pass
    assert (caught.value.key, caught.value.value) == ("address", cluster.address)
    return caught.value.message


def refused_by_the_dashboard(cluster: LocalCluster) -> str:
    with pytest.raises(InfrastructureError) as caught:
        RayJobs(cluster.dashboard).find("JOB")
    return caught.value.message


def test_a_study_runs_on_it_each_server_with_its_gpus_and_each_trials_process_with_its_name_and_none(
    local: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local.up("--cpus", "32", "8xH100-80GB")
    started = local.processes()
    let_in(monkeypatch, local)
    with Watching(local) as seen:
        out = run_empty_trials(tmp_path, 2, local.address)
    assert [row["state"] for row in rows(out.path, "SELECT state FROM trials")] == ["completed"] * 2
    assert seen.servers == {",".join(map(str, range(8)))}
    assert seen.others == {""}, "the load driver, whose environment is the trial's process's own"
    assert "scale-0000…" in actor_names(local.address)
    down = local("down")
    assert down.returncode == 0, down.stderr
    wait_until(lambda: not any(process.is_running() for process in started), "its processes to end")
    assert not local.folder.exists()


def actor_names(address: str) -> set[str]:
    """What the dashboard calls the cluster's actors, the ended ones too."""
    with ray_session(address):
        accessor = gcs_state._connect_and_get_accessor()
        return {ActorTableData.FromString(row).repr_name for row in accessor.get_actor_table(None, None)}


class Watching:
    """Which GPUs the environment of the processes of a study on ``cluster`` names, from time to time."""

    def __init__(self, cluster: LocalCluster) -> None:
        self._cluster = cluster
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.servers: set[str] = set()
        self.others: set[str] = set()

    def __enter__(self) -> Watching:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.3):
            for process in self._cluster.processes():
                with contextlib.suppress(psutil.Error):
                    self._look(process)

    def _look(self, process: psutil.Process) -> None:
        words = process.cmdline()
        if words and words[0].startswith("ray::"):
            for child in process.children(recursive=True):
                gpus, script = child.environ().get("CUDA_VISIBLE_DEVICES", ""), " ".join(child.cmdline())
                if "empty_server" in script:
                    self.servers.add(gpus)
                elif "client.worker" in script:
                    self.others.add(gpus)
