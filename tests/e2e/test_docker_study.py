"""Whole studies whose servers run in containers of a real daemon."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autotuner.errors import Failure
from benchmarks.dockerd import IMAGE, Dockerd, dockerd, why_not
from tests.e2e.studies import Workplace, assert_nothing_left, rows, wait_until

pytestmark = [pytest.mark.long, pytest.mark.skipif(bool(why_not()), reason=why_not() or "docker runs")]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Dockerd]:
    with dockerd() as running:
        yield running


def docker_study(workplace: Workplace, **changes: Any) -> Path:
    keys: dict[str, Any] = {
        "engine": {"image": IMAGE},
        "launcher": {"kind": "docker", "memory_gib": 2},
        "space": {"parameters": {"parallel": [2], "batch-size": [256]}},
        # More users than slots: they wait so long for their first tokens that no busy client is late beside it.
        "workload": {"scenario": "D(32,64)", "load": {"concurrency": [8]}},
        "search": {"algorithm": "grid", "trials": 2, "confirm": 0},
        "fidelity": {"rungs": 1},
    }
    return workplace.study_file(workplace.folder, **{**keys, **changes})


def test_a_study_in_containers_ends_well_and_leaves_none(workplace: Workplace, daemon: Dockerd) -> None:
    folder = workplace.folder / "out"
    done = workplace.run("run", docker_study(workplace), "--out", folder, DOCKER_HOST=daemon.host)
    assert done.returncode == 0, done.stderr
    assert daemon.containers() == []
    assert [row["state"] for row in rows(folder, "SELECT state FROM trials")] == ["completed"] * 2
    assert all(_log(folder, trial).strip() for trial in ("0000", "0001"))
    assert_nothing_left(workplace, folder)


@pytest.mark.fault
def test_a_killed_driver_leaves_no_container_and_its_study_goes_on(workplace: Workplace, daemon: Dockerd) -> None:
    folder = workplace.folder / "out"
    study = docker_study(workplace)
    running = workplace.start("run", study, "--out", folder, DOCKER_HOST=daemon.host)
    wait_until(daemon.containers, "a container")
    running.kill()
    running.wait()
    wait_until(lambda: not daemon.containers(), "the container to go with the driver")
    done = workplace.run("resume", folder, DOCKER_HOST=daemon.host)
    assert done.returncode == 0, done.stderr
    ended = rows(folder, "SELECT state, message FROM trials")
    assert [row["state"] for row in ended] == ["completed"] * 2, ended
    assert daemon.containers() == []
    assert_nothing_left(workplace, folder)


@pytest.mark.fault
def test_a_daemon_that_is_lost_for_a_while_costs_no_config_its_score(workplace: Workplace, daemon: Dockerd) -> None:
    folder = workplace.folder / "out"
    study = docker_study(workplace)
    running = workplace.start("run", study, "--out", folder, DOCKER_HOST=daemon.host)
    wait_until(daemon.containers, "a container")
    daemon.kill()
    daemon.start()
    workplace.finish(running)
    ended = rows(folder, "SELECT state, message FROM trials")
    noted = rows(folder, "SELECT failure, message FROM failures")
    assert [row["state"] for row in ended] == ["completed"] * 2, (ended, noted)
    assert not any(Failure(row["failure"]).blames_config for row in noted), noted
    assert (folder / "logs" / "0000" / "0000-l2-rank0.log").exists(), "it was launched again"
    wait_until(lambda: not daemon.containers(), "what the daemon remembers of it to go")
    assert_nothing_left(workplace, folder)


def test_check_tells_that_no_daemon_answers_and_run_refuses(workplace: Workplace) -> None:
    study, nowhere = docker_study(workplace), f"unix://{workplace.folder}/nobody.sock"
    checked = workplace.run("check", study, DOCKER_HOST=nowhere)
    assert checked.returncode == 0
    assert "no docker daemon answers on this machine" in checked.stderr + checked.stdout
    refused = workplace.run("run", study, "--out", workplace.folder / "out", DOCKER_HOST=nowhere)
    assert refused.returncode == 2
    assert "launcher.kind" in refused.stderr


def test_doctor_tells_of_the_daemon_and_reap_of_containers(workplace: Workplace, daemon: Dockerd) -> None:
    told = json.loads(workplace.run("doctor", "--json", DOCKER_HOST=daemon.host).stdout)
    [docker] = [finding for finding in told["findings"] if finding["part"] == "docker"]
    assert docker["state"] == "ok"
    assert "NVIDIA runtime" in docker["detail"]
    dead = f"{os.uname().nodename}:999999:1"
    labels = {"study": "left", "trial": "0004", "owner": "elsewhere:1:1", "holder": dead}
    words = [word for name, value in labels.items() for word in ("--label", f"autotuner.{name}={value}")]
    daemon.docker("create", "--name", "left-over", *words, IMAGE, "llama-server")
    # Only looking: `reap` itself would end the leftovers of other people's studies too.
    found = json.loads(workplace.run("reap", "--dry-run", "--json", DOCKER_HOST=daemon.host).stdout)
    [mine] = [left for left in found["leftovers"] if left["study"] == "left"]
    assert (mine["node"], mine["container"], mine["trial"]) == (os.uname().nodename, "left-over", "0004")
    daemon.docker("rm", "left-over")


def _log(folder: Path, trial: str) -> str:
    return (folder / "logs" / trial / f"{trial}-l1-rank0.log").read_text(encoding="utf-8")
