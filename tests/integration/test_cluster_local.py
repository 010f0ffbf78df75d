"""The cluster of cluster/local: nodes with logical GPUs in one command, and gone in another."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from ray._private.state import state as gcs_state
from ray.core.generated.gcs_pb2 import ActorTableData

from autotuner.tuning.session import ray_session
from benchmarks.scale_study import run_empty_trials
from tests.e2e.studies import rows, wait_until

SCRIPT = Path(__file__).parents[2] / "cluster" / "local" / "ray-local"
_NODES = """
import json, sys, ray
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
print(json.dumps([[n["Labels"].get("autotuner/accelerator"), n["Resources"].get("GPU")] for n in ray.nodes()]))
"""


@dataclass
class Local:
    """``cluster/local/ray-local`` in a folder of its own."""

    folder: Path
    environment: dict[str, str]

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(SCRIPT), *words]
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=200, check=False)

    def up(self, *nodes: str) -> str:
        """The address of a cluster of these nodes."""
        started = self("up", *nodes)
        assert started.returncode == 0, started.stderr
        return started.stdout.splitlines()[0].removeprefix("export RAY_ADDRESS=")

    def processes(self) -> list[psutil.Process]:
        groups = (self.folder / "groups").read_text(encoding="ascii").splitlines()
        return [psutil.Process(int(line.split()[0])) for line in groups]


@pytest.fixture
def local(monkeypatch: pytest.MonkeyPatch) -> Iterator[Local]:
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    folder = Path("/tmp") / f"rl-{os.getpid()}"  # sockets' names are short
    ray = str(Path(sys.executable).with_name("ray"))
    given = Local(folder, {**os.environ, "RAY": ray, "RAY_LOCAL_DIR": str(folder)})
    try:
        yield given
    finally:
        given("down")


def test_a_cluster_comes_up_in_one_command_and_goes_in_another(local: Local) -> None:
    address = local.up("--cpus", "4", "2xH100-80GB", "1xL40S-48GB")
    asked = [sys.executable, "-c", _NODES, address]
    answer = subprocess.run(asked, env=local.environment, capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(answer.stdout.splitlines()[-1])
    assert sorted(found, key=str) == sorted([["H100-80GB", 2.0], ["L40S-48GB", 1.0], [None, None]], key=str)
    assert local("up").returncode == 2, "one at a time in a folder"
    started = local.processes()
    down = local("down")
    assert down.returncode == 0, down.stderr
    wait_until(lambda: not any(process.is_running() for process in started), "its processes to end", 30)
    assert not local.folder.exists()


def test_a_study_runs_on_it_each_server_with_its_gpus_and_each_trials_process_with_its_name_and_none(
    local: Local, tmp_path: Path
) -> None:
    address = local.up("--cpus", "32", "8xH100-80GB")
    with Watching() as seen:
        out = run_empty_trials(tmp_path, 2, address)
    assert [row["state"] for row in rows(out.path, "SELECT state FROM trials")] == ["completed"] * 2
    assert seen.servers == {",".join(map(str, range(8)))}
    assert seen.others == {""}, "the load driver, whose environment is the trial's process's own"
    assert "scale-0000…" in actor_names(address)


def actor_names(address: str) -> set[str]:
    """What the dashboard calls the cluster's actors, the ended ones too."""
    with ray_session(address):
        accessor = gcs_state._connect_and_get_accessor()
        return {ActorTableData.FromString(row).repr_name for row in accessor.get_actor_table(None, None)}


class Watching:
    """Which GPUs the environment of a study's processes names, from time to time."""

    def __init__(self) -> None:
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
            for process in psutil.process_iter():
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
