"""Studies as Ray jobs in a copy of a working directory: their logs, exit codes and ends, and their folders fetched."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from autotuner.results import OutputFolder
from autotuner.servers.supervision.tags import STUDY
from tests.e2e.ray_head import Head, ray_head
from tests.e2e.studies import (
    AUTOTUNER,
    Told,
    Workplace,
    assert_nothing_left,
    living,
    paced_study,
    rows,
    study_keys,
    wait_until,
)

pytestmark = pytest.mark.long
VARIABLE, VALUE = "E2E_SECRET", "a-secret-of-the-runtime-env"
Tell = Callable[..., Told]


@pytest.fixture(scope="module")
def head(shared_place: Workplace) -> Iterator[Head]:
    with ray_head(shared_place) as running:
        yield running
    assert_nothing_left(shared_place)


def working_dir(place: Workplace) -> Path:
    """A folder with a llama.cpp study and its model, both named by relative paths."""
    folder = place.folder / "work"
    folder.mkdir()
    (folder / "tiny.gguf").write_bytes(place.model.read_bytes())
    keys = study_keys(place.model, place.mark)
    keys["model"] = {**keys["model"], "id": "tiny.gguf"}
    keys["engine"] = {**keys["engine"], "env": {VARIABLE: {"from_env": VARIABLE}}}
    keys |= {"search": {"algorithm": "random", "trials": 2, "confirm": 0}, "fidelity": {"rungs": 1}}
    (folder / "study.yaml").write_text(yaml.safe_dump(keys), encoding="utf-8")
    return folder


def submit_with_working_dir(head: Head, job: str, folder: Path) -> subprocess.CompletedProcess[str]:
    temporary = head.place.folder / "tmp"  # where the job notes its study's folder
    temporary.mkdir()
    environment = json.dumps({"env_vars": {VARIABLE: VALUE, "TMPDIR": str(temporary)}})
    options = ["--submission-id", job, "--working-dir", str(folder), "--runtime-env-json", environment]
    return head.job("submit", *options, "--", *AUTOTUNER, "run", "study.yaml")


def fetch(head: Head, job: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """From a machine that has the dashboard's address and no file of the cluster's: its temporary folder is another."""
    with tempfile.TemporaryDirectory(dir=head.place.folder) as elsewhere:
        variables = {**head.variables, "TMPDIR": elsewhere}
        return head.place.run(
            "fetch", job, "--address", head.dashboard, *arguments, "--json", timeout_s=600, **variables
        )


def api(head: Head, job: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{head.dashboard}/api/jobs/{job}", headers={"Authorization": f"Bearer {head.token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def jobs(head: Head) -> list[str]:
    request = urllib.request.Request(f"{head.dashboard}/api/jobs/", headers={"Authorization": f"Bearer {head.token}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return [job["submission_id"] for job in json.load(answer) if job["submission_id"]]


def assert_sound(folder: Path) -> None:
    """The database is whole, and each of its ended rungs has its raw requests."""
    connection = sqlite3.connect(OutputFolder(folder).database)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    for rung in rows(folder, "SELECT * FROM rungs"):
        assert (folder / "requests" / rung["requests_file"]).stat().st_size > 0


def test_a_study_in_a_working_directory_is_run_and_fetched(head: Head, tell: Tell) -> None:
    place, out = head.place, head.place.folder / "fetched"
    done = submit_with_working_dir(head, "well", working_dir(place))
    assert done.returncode == 0, done.stdout + done.stderr
    assert api(head, "well")["driver_exit_code"] == 0
    log = head.job("logs", "well").stdout
    assert log.index(" rung 0: ") < log.index("Best trial: ")
    assert "bring it to your machine with: autotuner fetch well" in log

    fetched = fetch(head, "well", "--out", out)
    assert fetched.returncode == 0, fetched.stderr
    document = json.loads(fetched.stdout)
    assert (document["path"], document["job_status"], document["exit_code"]) == (str(out), "SUCCEEDED", 0)
    assert "fetched" in fetched.stderr
    assert jobs(head) == ["well"], "the job that sent the folder is taken away"
    assert_sound(out)
    assert not any(VALUE in path.read_text(errors="replace") for path in out.rglob("*") if path.is_file())
    assert f"Best trial: {json.loads((out / 'summary.json').read_text())['best']['trial_id']}" in log
    assert (out / "logs" / "0001" / "0001-l1-rank0.log").is_file()
    assert_usable(tell, place, out)


def assert_usable(tell: Tell, place: Workplace, out: Path) -> None:
    """What the commands that take a study's folder make of a fetched one."""
    slo = place.folder / "slo.yaml"
    slo.write_text("slo: {ttft: {p50: {threshold_ms: 60000}}}\n", encoding="utf-8")
    for arguments in (
        ["report", out],
        ["export", out, "--target", "shell", "--out", place.folder / "exported"],
        ["rescore", out, "--slo", slo],
        ["compare", out, out],
        ["status", out],
    ):
        told = tell(*arguments, "--json")
        assert told.code == 0, told.errors
    assert list((place.folder / "exported").rglob("*.sh"))


@pytest.mark.fault
def test_a_stopped_job_is_resumed_by_a_second_one_and_fetched_at_each_stage(head: Head) -> None:
    place, out, copy = head.place, head.place.folder / "stopped", head.place.folder / "copy"
    long = {"requests": {"per_slot": 4, "min": 120}}  # it is still running when it has been fetched
    study = paced_study(place, search={"trials": 2, "confirm": 0}, workload=long)
    assert head.submit("first", "run", study, "--out", out, wait=False).returncode == 0
    wait_until(lambda: rows(out, "SELECT * FROM rungs LIMIT 1"), "the first rung")
    running = fetch(head, "first", "--out", copy)
    assert running.returncode == 0, running.stderr
    assert json.loads(running.stdout)["exit_code"] is None
    study_id = OutputFolder(out).study_id or ""
    stopped = head.job("stop", "first")
    assert stopped.returncode == 0, stopped.stdout
    wait_until(lambda: not living(STUDY, study_id), "the servers to end")
    wait_until(head.is_idle, "the cluster to be idle")

    assert_sound(copy)
    seen = rows(copy, "SELECT * FROM rungs")
    assert seen
    told = json.loads(place.run("status", copy, "--json").stdout)
    assert (told["state"], told["fetched"]["job"], told["fetched"]["job_status"]) == ("copy", "first", "RUNNING")
    told_people = " ".join(place.run("status", copy).stdout.split())
    assert f"the rest comes with: autotuner fetch first --address {head.dashboard}" in told_people
    refused = place.run("resume", copy, "--json")
    assert (refused.returncode, json.loads(refused.stdout)["key"]) == (2, "DIR")
    assert "the end of job first" in refused.stderr

    assert api(head, "first")["status"] == "STOPPED"
    assert rows(out, "SELECT status FROM studies") == [{"status": "interrupted"}]
    assert f"interrupted; go on with: autotuner resume {out}" in head.job("logs", "first").stdout
    measured = rows(out, "SELECT * FROM rungs")

    taken = place.folder / "taken"
    assert fetch(head, "first", "--out", taken).returncode == 0
    here = place.run("resume", taken)
    assert here.returncode == 0, here.stderr
    assert len(rows(taken, "SELECT * FROM rungs")) == 4
    assert all(rung in rows(taken, "SELECT * FROM rungs") for rung in measured)

    resumed = head.submit("second", "resume", out)
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr
    assert "Best trial:" in head.job("logs", "second").stdout
    after = rows(out, "SELECT * FROM rungs")
    assert all(rung in after for rung in [*seen, *measured])
    assert len(after) == 4

    again = fetch(head, "second", "--out", copy)
    assert again.returncode == 0, again.stderr
    assert rows(copy, "SELECT * FROM rungs") == after
    assert (copy / "report.html").is_file()
    assert json.loads(place.run("status", copy, "--json").stdout)["state"] == "completed"
    refused = fetch(head, "second", "--out", taken)
    assert refused.returncode == 2, "the folder was gone on with here"
    (place.folder / "foreign").mkdir()
    (place.folder / "foreign" / "thesis.txt").write_text("mine", encoding="utf-8")
    refused = fetch(head, "second", "--out", place.folder / "foreign")
    assert (refused.returncode, json.loads(refused.stdout)["key"]) == (2, "--out")


def test_a_job_whose_study_finds_nothing_has_the_exit_code_of_the_study(head: Head) -> None:
    slo = {"ttft": {"p50": {"threshold_ms": 5}}}
    study = paced_study(head.place, slo=slo, search={"trials": 1, "confirm": 0}, fidelity={"rungs": 1})
    assert head.submit("badly", "run", study, "--out", head.place.folder / "badly").returncode == 1
    assert api(head, "badly")["driver_exit_code"] == 1
    refused = head.submit("refused", "run", head.place.folder / "nothing.yaml")
    assert refused.returncode == 1
    assert api(head, "refused")["driver_exit_code"] == 2


def test_what_can_not_be_fetched_is_told(head: Head) -> None:
    place = head.place
    unknown = fetch(head, "no-such-job")
    assert (unknown.returncode, json.loads(unknown.stdout)["key"]) == (2, "JOB")
    assert head.job("submit", "--submission-id", "other", "--", "true").returncode == 0
    foreign = fetch(head, "other")
    assert foreign.returncode == 2
    assert "--command" in foreign.stderr
    unknown_there = fetch(head, "other", "--command", " ".join(AUTOTUNER))
    assert unknown_there.returncode == 3
    assert "no study of job 'other' is known" in unknown_there.stderr
    assert head.job("submit", "--submission-id", "third", "--", *AUTOTUNER, "run", "--help").returncode == 0
    assert not [job for job in jobs(head) if job.startswith("autotuner-fetch")]
    away = place.run("fetch", "well", "--address", "http://127.0.0.1:9", "--json", timeout_s=600, **head.variables)
    assert (away.returncode, json.loads(away.stdout)["key"]) == (3, "address")
