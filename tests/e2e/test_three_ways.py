"""Where a study can run besides a Ray of its own: on a cluster that is there, as a Ray job, on a running server."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from autotuner.benchmark.stand_ins.mock_process import mock_server
from autotuner.results import OutputFolder
from autotuner.servers.machine.ports import lease_port
from autotuner.servers.supervision.tags import STUDY
from tests.e2e.ray_head import Head, ray_head
from tests.e2e.studies import (
    Workplace,
    assert_nothing_left,
    living,
    paced_study,
    rows,
    study_keys,
    wait_until,
)

pytestmark = pytest.mark.long
QUICK: dict[str, Any] = {"search": {"trials": 2, "confirm": 0}, "fidelity": {"rungs": 1}}


@pytest.fixture(scope="module")
def head(shared_place: Workplace) -> Iterator[Head]:
    with ray_head(shared_place) as running:
        yield running
    assert_nothing_left(shared_place)


def assert_done(head: Head, out: Path, trials: int) -> None:
    """The study has ended well, its servers are gone, the cluster is up and nobody's."""
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert summary["status"] == "completed"
    assert summary["trials"]["total"] == trials
    assert (out / "report.html").is_file()
    assert not living(STUDY, OutputFolder(out).study_id or "")
    assert head.is_up()
    wait_until(head.is_idle, "the cluster to be idle")


def test_a_study_runs_on_a_cluster_that_is_there_and_leaves_it_up_and_clean(head: Head) -> None:
    place, out = head.place, head.place.folder / "cluster"
    study = paced_study(place, **QUICK)
    done = head.run("run", study, "--out", out, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["best"]["trial_id"] == "0001"
    assert_done(head, out, trials=2)


def test_a_study_runs_as_a_ray_job_whose_log_has_its_result(head: Head) -> None:
    place, out = head.place, head.place.folder / "job"
    done = head.submit("well", "run", paced_study(place, **QUICK), "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    log = head.job("logs", "well").stdout
    assert "Best trial: 0001" in log
    assert "trial 0000 rung 0: " in log
    assert "trial 0001 rung 0: score" in log
    assert_done(head, out, trials=2)


def test_a_study_that_finds_nothing_fails_its_ray_job(head: Head) -> None:
    slo = {"ttft": {"p50": {"threshold_ms": 5}}}
    study = paced_study(head.place, slo=slo, search={"trials": 1, "confirm": 0}, fidelity={"rungs": 1})
    done = head.submit("badly", "run", study, "--out", head.place.folder / "badly")
    assert done.returncode == 1
    assert "No Config meets the SLOs" in done.stdout
    assert "exit code 1" in done.stdout


def test_a_stopped_ray_job_leaves_no_server_and_is_resumed(head: Head) -> None:
    place, out = head.place, head.place.folder / "stopped"
    study = paced_study(place, search={"trials": 2, "confirm": 0})
    assert head.submit("stopped", "run", study, "--out", out, wait=False).returncode == 0
    (before,) = wait_until(lambda: rows(out, "SELECT * FROM rungs LIMIT 1"), "the first rung")
    study_id = OutputFolder(out).study_id or ""
    assert living(STUDY, study_id)
    assert head.job("stop", "stopped").returncode == 0
    wait_until(lambda: not living(STUDY, study_id), "the servers to end")
    wait_until(head.is_idle, "the cluster to be idle")
    measured = rows(out, "SELECT * FROM rungs")

    resumed = head.run("resume", out)
    assert resumed.returncode == 0, resumed.stderr
    assert_done(head, out, trials=2)
    after = rows(out, "SELECT * FROM rungs")
    assert before in after
    assert all(rung in after for rung in measured)
    assert sorted((rung["trial_id"], rung["rung"]) for rung in after) == [
        (trial, rung) for trial in ("0000", "0001") for rung in (0, 1)
    ]


def test_what_no_node_of_the_cluster_can_hold_is_refused_by_check_and_run(head: Head) -> None:
    study = paced_study(head.place, hardware={"server_cpus": 2})
    for command in (["check"], ["run", "--out", str(head.place.folder / "too-big")]):
        told = head.run(*command, study, "--json")
        assert told.returncode == 3
        document = json.loads(told.stdout)
        assert (document["code"], document["key"]) == ("capacity", "hardware")
        assert document["value"] == {"CPU": 3.0}
    fits = head.run("check", paced_study(head.place), "--json")
    assert (fits.returncode, json.loads(fits.stdout)["fits"]) == (0, 1)


def test_a_cluster_that_is_not_there_is_told_at_once(workplace: Workplace) -> None:
    with closing(lease_port("127.0.0.1")) as unused:
        address = f"127.0.0.1:{unused.port}"
        told = workplace.run("check", paced_study(workplace), "--address", address, "--json", timeout_s=120)
    assert told.returncode == 3
    document = json.loads(told.stdout)
    assert (document["code"], document["key"], document["value"]) == ("infrastructure", "address", address)
    assert len(told.stderr.splitlines()) == 1


def test_a_server_that_already_runs_is_searched_over_its_load_only(head: Head) -> None:
    place, out = head.place, head.place.folder / "endpoint"
    log = place.folder / "endpoint-requests.jsonl"
    with mock_server(ttft_ms=600, itl_ms=5, log=str(log), models="a-name-of-its-own") as url:
        study = place.folder / "endpoint.yaml"
        keys = {**study_keys(place.model, place.mark), **_endpoint(url), "hardware": {"gpus_per_server": 2}}
        keys["model"] = {"id": place.mark}  # the server is asked for its name
        study.write_text(json.dumps(keys), encoding="utf-8")
        done = head.run("run", study, "--out", out, "--json")
        assert done.returncode == 0, done.stderr
        first = _prompts(log)
        again = head.run("run", study, "--out", place.folder / "endpoint-again", "--json")
        assert again.returncode == 0, again.stderr
        later = _prompts(log)[len(first) :]
        assert first
        assert later
        assert not {*first} & {*later}, "a server that knows a prompt answers from its cache"
        with urllib.request.urlopen(f"{url}/health", timeout=30) as answer:
            assert answer.status == 200  # it is somebody's: it goes on running
    summary = json.loads(done.stdout)
    assert (summary["best"]["level"], summary["best"]["config"]) == (4, {})
    assert summary["trials"]["total"] == 1
    assert summary["gpu_seconds"]["reserved"] == 0, "its GPUs are not reserved by the study"
    assert summary["cpu_seconds"]["reserved"] > 0
    trial = pd.read_csv(out / "trials.csv").iloc[0]
    assert (trial["gpus"], trial["cpus"]) == (2, 1), "those behind the server, and the load driver's"
    measured = pd.read_csv(out / "measurements.csv")
    spoiled = rows(out, "SELECT level FROM failures WHERE failure = 'CLIENT_SATURATED'")  # by others on the machine
    lost = {float(row["level"].split()[-1]) for row in spoiled if row["level"]}
    assert measured["level"].tolist() == [level for level in (1, 2, 4) if level not in lost - {*measured["level"]}]
    assert measured["ttft_p50_ms"].between(600, 5000).all()
    assert_done(head, out, trials=1)


def test_a_server_that_does_not_run_says_nothing_about_its_config(head: Head) -> None:
    place = head.place
    with closing(lease_port("127.0.0.1")) as unused:
        keys = _endpoint(f"http://127.0.0.1:{unused.port}") | {"timeouts": {"start_s": 2}}
        study = place.folder / "nowhere.yaml"
        study.write_text(json.dumps({**study_keys(place.model, place.mark), **keys}), encoding="utf-8")
        done = head.run("run", study, "--out", place.folder / "nowhere")
    assert done.returncode == 3
    (ended,) = [line for line in done.stderr.splitlines() if "trial 0000 failed" in line]
    assert "INFRASTRUCTURE" in ended
    assert "infeasible" not in ended


def _prompts(log: Path) -> list[str]:
    """Every prompt of the load, warm-up included; the questions by which a server is got to know are words."""
    asked = (json.loads(line)["prompt"] for line in log.read_text(encoding="utf-8").splitlines())
    return [json.dumps(prompt) for prompt in asked if isinstance(prompt, list)]


def _endpoint(url: str) -> dict[str, Any]:
    return {
        "name": "endpoint",
        "launcher": {"kind": "endpoint", "url": url},
        "space": {},
        "workload": {"scenario": "D(32,8)", "load": {"concurrency": [1, 2, 4]}, "requests": {"per_slot": 4, "min": 4}},
        "objective": "throughput",
        "search": {"algorithm": "random", "trials": 1, "confirm": 0, "heed_disturbance": False},
        "fidelity": {"rungs": 1},
    }
