"""What a study has spent: one account, over lives that were killed, interrupted and came to their end."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from autotuner.results import OutputFolder
from tests.e2e.studies import Workplace, mock_engine, rows, wait_for_row, wait_until

CORES = 2  # of a trial: its server's and its load driver's
SEEN_S = 8.0  # longer than it takes a driver to say again that it lives


def status(place: Workplace, out: Path) -> dict[str, Any]:
    done = place.run("status", out, "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.mark.fault
def test_every_life_counts_and_all_say_the_same(workplace: Workplace) -> None:
    out = workplace.folder / "out"
    study = workplace.study_file(
        workplace.folder,
        engine=mock_engine(),
        workload={"requests": {"per_level_s": 16}},
        search={"trials": 2, "confirm": 0, "max_concurrent_trials": 1},
        fidelity={"rungs": 1},
    )

    killed = workplace.start("run", study, "--out", out, "--set", "workload.load={rate: [2]}")
    wait_for_row(out, "SELECT * FROM trials WHERE startup_s IS NOT NULL", process=killed)
    wait_until(lambda: rows(out, "SELECT * FROM lives WHERE seen_at - began_at > ?", SEEN_S), "a sign of life")
    os.killpg(killed.pid, signal.SIGKILL)
    workplace.finish(killed)
    assert rows(out, "SELECT * FROM rungs") == [], "no rung has ended: what was cut is all that was spent"
    after_a_kill = status(workplace, out)["spent"]
    assert after_a_kill["cpu_s"] > 0

    interrupted = workplace.start("resume", out)
    wait_for_row(out, "SELECT * FROM holds JOIN lives WHERE life = 2 AND held_since > began_at", process=interrupted)
    os.killpg(interrupted.pid, signal.SIGINT)
    assert workplace.finish(interrupted)[0] == 130
    said = status(workplace, out)["spent"]
    assert said == json.loads(OutputFolder(out).summary_json.read_text())["spent"]
    assert [life["life"] for life in said["lives"]] == [1, 2]
    assert said["lives"][0] == after_a_kill["lives"][0], "what the first life took is not said otherwise later"
    assert said["lives"][1]["cpu_s"] > 0

    done = workplace.run("resume", out)
    assert done.returncode == 0, done.stderr
    summary = json.loads(OutputFolder(out).summary_json.read_text())
    spent = status(workplace, out)["spent"]
    assert spent == summary["spent"]
    assert len(spent["lives"]) == 3
    for life in spent["lives"]:
        assert 0 < life["cpu_s"] <= CORES * life["wall_clock_s"]
    for name in ("cpu_s", "gpu_s", "wall_clock_s"):
        assert spent[name] == pytest.approx(sum(life[name] for life in spent["lives"]))
    assert spent["cpu_s"] == summary["cpu_seconds"]["reserved"]
    assert spent["cpu_s"] == pytest.approx(pd.read_csv(OutputFolder(out).trials_csv)["cpu_seconds"].sum())

    (told,) = [line for line in workplace.run("status", out).stdout.splitlines() if line.startswith("spent")]
    last = [line for line in done.stderr.splitlines() if "study ended" in line][-1]
    assert last.partition("spent: ")[2] == told.removeprefix("spent").strip()
    report = OutputFolder(out).report.read_text()
    for place in (done.stdout, report):
        assert all(name in place for name in ("CPU core time", "Wall clock", "life 1: ", "life 3: "))
