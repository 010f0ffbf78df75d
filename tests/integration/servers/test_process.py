"""Real processes, really started, really killed: nothing may be left."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from autotuner.engines import Deployment, FailureReport, Rank, SecretEnv, ServerGroup, VersionProbe
from autotuner.errors import Failure, LaunchError, ServerLostError
from autotuner.servers import CoreLease, LaunchRequest, ProcessLauncher, owner_tag, reap, tags

Launch = Callable[..., Any]
Alive = Callable[[], list[psutil.Process]]


def diagnose(exit_code: int | None, log_tail: str) -> FailureReport:
    return FailureReport(Failure.CRASH, f"exit code {exit_code}: {log_tail.splitlines()[-1] if log_tail else ''}")


def comes_true(condition: Callable[[], bool], deadline_s: float = 30.0) -> bool:
    deadline = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def told(url: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{url}/self", timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def can_listen(url: str) -> bool:
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError:
            return False
        return True


@pytest.fixture
def launch(tmp_path: Path, mark: str, programs: Path, own_locks: Path) -> Launch:
    """Launches the unruly server with extra words, keywords going to the LaunchRequest."""

    def start(
        *words: str, rank: Mapping[str, Any] | None = None, group: Mapping[str, Any] | None = None, **more: Any
    ) -> Any:
        argv = (sys.executable, str(programs / "unruly_server.py"), "--host", "{host}", "--port", "{port}", *words)
        ranks = (Rank(argv, **(rank or {})),) * (group or {}).get("ranks", 1)
        deployment = Deployment(
            engine="test",
            engine_version="1",
            model="m",
            served_name="m",
            groups=(ServerGroup(ranks, replicas=(group or {}).get("replicas", 1)),),
            version=VersionProbe("/version", "version"),
        )
        request = LaunchRequest(
            deployment=deployment,
            launch_id=mark,
            log_dir=tmp_path / "logs",
            work_dir=tmp_path / "work",
            tags=tags(mark, "0000", owner_tag()),
            **{"start_timeout_s": 30.0, **more},
        )
        return ProcessLauncher(grace_s=0.5).launch(request, diagnose)

    return start


def test_a_server_runs_until_it_is_stopped(launch: Launch, alive: Alive) -> None:
    with launch() as server:
        assert server.exit_code() is None
        assert server.startup_s > 0
        assert server.engine_version == "7.1"
        assert "unruly server: starting" in server.log_tail()
        assert told(server.urls[0])["pid"] in {process.pid for process in alive()}
        assert not can_listen(server.urls[0])
    assert alive() == []
    assert can_listen(server.urls[0])
    assert server.exit_code() is not None
    server.stop()


def test_each_process_sees_its_own_gpus_cores_tags_and_files(
    launch: Launch, mark: str, alive: Alive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4,5,6,7")
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    monkeypatch.setenv("OMP_NUM_THREADS", "5")  # Ray's, which would slow a server down
    monkeypatch.setenv("A_TOKEN", "s3cret {x}")
    core = min(os.sched_getaffinity(0))
    rank = {
        "gpus": 1,
        "files": {"conf/tune.yaml": "a: {b}"},
        "env": {"CONF": "{files}/conf/tune.yaml", "TOKEN": SecretEnv("A_TOKEN"), "BRACES": "{{}}"},
        "measuring_env": {"MEASURED": "{1}", "BRACES": "theirs"},
    }
    with launch(
        "--rank0",
        "{rank0}",
        rank=rank,
        group={"ranks": 2, "replicas": 2},
        gpu_ids=("4", "5", "GPU-x", "7"),
        cores=(core,),
    ) as server:
        assert len(server.urls) == 2
        first, second = (told(url) for url in server.urls)
        assert [first["env"]["CUDA_VISIBLE_DEVICES"], second["env"]["CUDA_VISIBLE_DEVICES"]] == ["4", "GPU-x"]
        assert first["affinity"] == [core]
        assert Path(first["env"]["CONF"]).read_text() == "a: {b}"
        assert first["env"]["TOKEN"] == "s3cret {x}"
        assert first["env"]["BRACES"] == "{}"
        assert first["env"]["MEASURED"] == "{1}"
        assert not {"RAY_ADDRESS", "OMP_NUM_THREADS"} & set(first["env"])
        assert first["env"]["AUTOTUNER_STUDY"] == mark
        assert first["env"]["AUTOTUNER_TRIAL"] == "0000"
        meeting = [place["argv"][place["argv"].index("--rank0") + 1] for place in (first, second)]
        assert meeting[0] != meeting[1]
        assert not {f"http://{place}" for place in meeting} & set(server.urls)
        ranks = [p for p in alive() if "--rank0" in p.cmdline()]
        assert len(ranks) == 4
    assert alive() == []


def test_no_gpu_is_visible_to_a_server_without_one(launch: Launch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    with launch() as server:
        assert told(server.urls[0])["env"]["CUDA_VISIBLE_DEVICES"] == ""


def test_a_server_that_dies_at_start_shows_its_last_lines(launch: Launch, alive: Alive) -> None:
    with pytest.raises(LaunchError) as caught:
        launch("--die", "3")
    assert caught.value.failure is Failure.CRASH
    assert "exit code 3" in caught.value.message
    assert "unruly server: I give up" in caught.value.log_tail
    assert alive() == []


def test_a_server_that_never_gets_ready_times_out(launch: Launch, alive: Alive) -> None:
    with pytest.raises(LaunchError) as caught:
        launch("--never-ready", start_timeout_s=2.0)
    assert caught.value.failure is Failure.STARTUP_TIMEOUT
    assert "unruly server: starting" in caught.value.log_tail
    assert alive() == []


def test_a_node_that_can_start_no_process_is_no_fault_of_the_config(launch: Launch, alive: Alive) -> None:
    with pytest.raises(LaunchError, match="this node could not start the server") as caught:
        launch(cores=(4095,))  # there is no such core
    assert caught.value.failure is Failure.INFRASTRUCTURE
    assert alive() == []


def test_an_executable_that_is_not_there_is_named(launch: Launch, mark: str, tmp_path: Path) -> None:
    deployment = Deployment("test", "1", "m", "m", (ServerGroup((Rank(("no-such-server",)),)),))
    request = LaunchRequest(deployment, mark, tmp_path / "logs", tmp_path / "work", {}, 5.0)
    with pytest.raises(LaunchError, match="no-such-server") as caught:
        ProcessLauncher().launch(request, diagnose)
    assert caught.value.failure is Failure.INFRASTRUCTURE


def test_a_secret_that_is_not_set_is_named(launch: Launch) -> None:
    with pytest.raises(LaunchError, match="UNSET_TOKEN"):
        launch(rank={"env": {"TOKEN": SecretEnv("UNSET_TOKEN")}})


def test_a_stubborn_server_and_its_stubborn_orphans_are_killed(launch: Launch, alive: Alive) -> None:
    with launch("--stubborn", "--grandchild") as server:
        assert any("sleep" in p.cmdline() for p in alive())
        assert server.exit_code() is None
    assert alive() == []


def test_stopping_a_launch_spares_another_studys_launch_of_the_same_name(launch: Launch) -> None:
    with launch() as other:
        with launch():
            pass
        assert other.exit_code() is None
        assert told(other.urls[0])


def test_killing_the_server_ends_its_orphans_and_is_seen(launch: Launch, alive: Alive) -> None:
    with launch("--grandchild") as server:
        os.kill(told(server.urls[0])["pid"], signal.SIGKILL)
        assert comes_true(lambda: server.exit_code() == -signal.SIGKILL)
        assert comes_true(lambda: alive() == [])


def test_killing_one_rank_ends_all(launch: Launch, alive: Alive) -> None:
    with launch(group={"replicas": 2}) as server:
        os.kill(told(server.urls[1])["pid"], signal.SIGTERM)
        assert comes_true(lambda: server.exit_code() == -signal.SIGTERM)
        assert comes_true(lambda: alive() == [])


def supervisors(url: str) -> list[psutil.Process]:
    """The supervisor of a launch and its guardian, whose child it is."""
    return psutil.Process(told(url)["pid"]).parents()[:2]


@pytest.mark.parametrize("victim", [0, 1], ids=["supervisor", "guardian"])
def test_killing_one_of_the_supervisors_ends_the_server_and_its_orphans(
    victim: int, launch: Launch, alive: Alive
) -> None:
    with launch("--grandchild") as server:
        supervisors(server.urls[0])[victim].kill()
        assert comes_true(lambda: alive() == [])
        with pytest.raises(ServerLostError):
            server.exit_code(within_s=20)
    assert can_listen(server.urls[0])


def test_killing_both_supervisors_ends_the_server_and_stop_its_orphans(launch: Launch, alive: Alive) -> None:
    with launch("--grandchild") as server:
        for supervisor in reversed(supervisors(server.urls[0])):
            supervisor.suspend()  # or it would be done before it is killed
            supervisor.kill()
        with pytest.raises(ServerLostError):
            server.exit_code(within_s=20)
    assert alive() == []
    assert can_listen(server.urls[0])


@pytest.mark.alone
@pytest.mark.parametrize("victim", ["trial", "trial and guardian", "trial and supervisors"])
def test_killing_the_trial_leaves_nothing(
    victim: str, mark: str, alive: Alive, programs: Path, own_locks: Path, tmp_path: Path
) -> None:
    server = [
        sys.executable,
        str(programs / "unruly_server.py"),
        "--host",
        "{host}",
        "--port",
        "{port}",
        "--grandchild",
    ]
    trial = subprocess.Popen(
        [sys.executable, str(programs / "launch_and_wait.py"), str(tmp_path), mark, *server], stdout=subprocess.PIPE
    )
    assert trial.stdout is not None
    try:
        place = json.loads(trial.stdout.readline())
        with pytest.raises(Exception, match="cores got free"), CoreLease(1, timeout_s=0, allowed=place["cores"]):
            pass
        assert len(alive()) == 4
        supervisor, guardian = supervisors(place["url"])
        if victim == "trial and supervisors":
            supervisor.suspend()
        if victim != "trial":
            guardian.kill()  # as Ray does when a trial's process exits
        if victim == "trial and supervisors":
            supervisor.kill()
        trial.kill()
        trial.wait()
        if victim == "trial and supervisors":
            # The server died with its supervisor; its orphan is the reaper's.
            assert comes_true(lambda: can_listen(place["url"]))
            assert [left.command for left in reap(mark)] == ["sleep 300"]
        # Although a fork of the trial lives on and holds its end of the pipe.
        assert psutil.pid_exists(place["bystander"])
        assert comes_true(lambda: alive() == [])
        assert can_listen(place["url"])
    finally:
        trial.kill()
        trial.stdout.close()
        os.kill(place["bystander"], signal.SIGKILL)
    with CoreLease(1, timeout_s=20, allowed=place["cores"]) as lease:
        assert list(lease.cores) == place["cores"]


class _Stranger(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_stranger_who_takes_the_port_is_not_measured(launch: Launch, own_locks: Path, alive: Alive) -> None:
    taken: list[HTTPServer] = []

    def take_the_first_port() -> None:
        ports = own_locks / f"autotuner-{os.getuid()}" / "ports"
        comes_true(lambda: ports.is_dir() and any(ports.iterdir()))
        time.sleep(0.2)
        stranger = HTTPServer(("127.0.0.1", int(next(iter(sorted(ports.iterdir()))).stem)), _Stranger)
        taken.append(stranger)
        stranger.serve_forever()

    thread = threading.Thread(target=take_the_first_port, daemon=True)
    thread.start()
    with launch("--bind-after", "0.6") as server:
        pid = told(server.urls[0])["pid"]
        assert pid in {process.pid for process in alive()}
        assert taken
        assert not server.urls[0].endswith(f":{taken[0].server_port}")
    taken[0].shutdown()
    taken[0].server_close()
    thread.join()
