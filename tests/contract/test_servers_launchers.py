"""What every Launcher must do, whatever stands behind it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import pytest

from autotuner.engines import Deployment, FailureReport, Mount, Rank, ServerGroup
from autotuner.errors import Failure, LaunchError
from autotuner.servers import EndpointLauncher, Launcher, LaunchRequest, ProcessLauncher
from autotuner.servers.docker.launcher import DockerLauncher
from autotuner.servers.readiness import probe
from benchmarks.dockerd import IMAGE, Dockerd, dockerd, why_not

PROGRAM = Path(__file__).parents[1] / "integration" / "programs" / "unruly_server.py"


def diagnose(exit_code: int | None, log_tail: str) -> FailureReport:
    return FailureReport(Failure.CRASH, f"exit code {exit_code}")


@dataclass(frozen=True)
class Case:
    """A launcher with a request that works and one that does not."""

    launcher: Launcher
    good: LaunchRequest
    bad_launcher: Launcher
    bad: LaunchRequest


def make_request(folder: Path, *words: str) -> LaunchRequest:
    argv = (sys.executable, str(PROGRAM), "--host", "{host}", "--port", "{port}", *words)
    return LaunchRequest(
        deployment=Deployment("test", "1.0", "m", "m", (ServerGroup((Rank(argv),)),)),
        launch_id=f"contract{len(words)}",
        log_dir=folder / "logs",
        work_dir=folder / "work",
        tags={"AUTOTUNER_STUDY": "contract"},
        start_timeout_s=60.0,
    )


def in_container(request: LaunchRequest) -> LaunchRequest:
    """The same in the tests' image, which sees the program where it lies."""
    mounts = (Mount(str(PROGRAM), str(PROGRAM)),)
    [rank] = request.deployment.groups[0].ranks
    python = str(Path(sys.executable).resolve())
    groups = (ServerGroup((replace(rank, argv=(python, *rank.argv[1:])),)),)
    return replace(request, deployment=replace(request.deployment, groups=groups, image=IMAGE, mounts=mounts))


@pytest.fixture(scope="module")
def daemon() -> Iterator[Dockerd]:
    if why_not():
        pytest.skip(why_not())
    with dockerd() as running:
        yield running


@pytest.fixture(params=["process", "docker", "endpoint"])
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    good, bad = make_request(tmp_path), make_request(tmp_path, "--die", "1")
    if request.param == "process":
        yield Case(ProcessLauncher(), good, ProcessLauncher(), bad)
        return
    if request.param == "docker":
        monkeypatch.setenv("DOCKER_HOST", request.getfixturevalue("daemon").host)
        launcher = DockerLauncher()
        yield Case(launcher, in_container(good), launcher, in_container(bad))
        return
    # The endpoint is a server that the process launcher's program serves, started by this test.
    with ProcessLauncher().launch(make_request(tmp_path, "--bind-after", "0"), diagnose) as running:
        short = LaunchRequest(bad.deployment, "short", tmp_path, tmp_path, {}, 0.2)
        yield Case(EndpointLauncher(running.urls[0]), good, EndpointLauncher("http://127.0.0.1:1"), short)


def test_a_launched_server_answers_and_tells_about_itself(case: Case) -> None:
    with case.launcher.launch(case.good, diagnose) as server:
        assert server.urls
        assert all(probe(url + "/health") == 200 for url in server.urls)
        assert not any(url.endswith(("/", "/v1")) for url in server.urls)
        assert server.startup_s >= 0
        assert server.engine_version == "1.0"
        assert server.exit_code() is None
        assert len(server.log_tail(100)) <= 100


def test_stop_may_be_called_again(case: Case) -> None:
    server = case.launcher.launch(case.good, diagnose)
    server.stop()
    ended = server.exit_code()
    server.stop()
    with server:
        pass
    assert server.exit_code() == ended


def test_a_launcher_launches_again(case: Case) -> None:
    for _ in range(2):
        with case.launcher.launch(case.good, diagnose) as server:
            assert probe(server.urls[0] + "/health") == 200


def test_a_failed_launch_raises_and_leaves_nothing(case: Case) -> None:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with pytest.raises(LaunchError) as caught:
        case.bad_launcher.launch(case.bad, diagnose)
    assert isinstance(caught.value.failure, Failure)
    assert caught.value.message
    assert {child.pid for child in psutil.Process().children(recursive=True)} == before


def test_the_program_runs_by_itself() -> None:
    """Else every test above would test nothing."""
    ended = subprocess.run([sys.executable, str(PROGRAM), "--port", "1", "--die", "4"], check=False, timeout=30)
    assert ended.returncode == 4
