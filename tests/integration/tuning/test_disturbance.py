"""Studies of a real llama.cpp beside processes that do nothing but compute: they say so."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from autotuner.report.facts.disturbed_lines import disturbed_lines
from autotuner.results import OutputFolder, resolved_yaml
from autotuner.results.records import Phase
from autotuner.results.result import StudyResults, write_tables
from autotuner.servers.telemetry.cpu_meter import CpuMeter
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.decisions.assignment import Assignment, RungReport
from autotuner.tuning.store_service import StoreService
from autotuner.tuning.trial.launch import Place
from autotuner.tuning.trial.rig import make_rig
from autotuner.tuning.trial.trial import TrialRun

# Each leaves its parent, so that it is no process of the trial, and ends with the file, or after two minutes.
SPIN = """
import os, sys, time
if os.fork():
    os._exit(0)
ends = time.monotonic() + 120
while os.path.exists(sys.argv[1]) and time.monotonic() < ends:
    for _ in range(10**5): pass
"""
CORES = sorted(os.sched_getaffinity(0))


@contextlib.contextmanager
def strangers_spinning(folder: Path) -> Iterator[None]:
    """One process of nobody's on each core."""
    flag = folder / "spin"
    flag.touch()
    try:
        for core in CORES:
            subprocess.run(["taskset", "-c", str(core), sys.executable, "-S", "-c", SPIN, str(flag)], check=True)
        yield
    finally:
        flag.unlink()


def study(model: Path) -> Study:
    """Eight users on two slots wait long for their first token: beside that a client that wants a core is not late."""
    return Study.model_validate(
        {
            "name": "beside",
            "model": {"id": str(model), "served_name": "tiny"},
            "engine": {"name": "llamacpp", "args": {"ctx-size": 1024, "parallel": 2, "threads": 1}},
            "workload": {"scenario": "D(96,144)", "load": {"concurrency": [8]}, "requests": {"min": 24}},
            "objective": "throughput",
            "fidelity": {"trial_scheduler": "none", "rungs": 1},
        }
    )


def run(given: Study, path: Path, mark: str) -> tuple[RungReport, StudyResults]:
    """The default's trial, and what the study's folder then says."""
    folder = OutputFolder(path)
    folder.prepare(given, "s1")
    store = StoreService(str(path), resolved_yaml(given, "s1"), "s1", given.name)
    place = Place("node", (), "", folder.trial_logs("0000"), {"AUTOTUNER_STUDY": mark})
    trial = TrialRun(given, Assignment("0000", Phase.BASELINE, Config({}), 1), place, make_rig(given), store, None)
    try:
        report = trial.run_rung(0)
    finally:
        trial.release()
    return report, write_tables(path)


@pytest.mark.usefixtures("own_locks")
def test_two_studies_beside_spinning_processes_say_so(tiny_model: Path, tmp_path: Path, mark: str) -> None:
    with strangers_spinning(tmp_path):
        for name in ("one", "two"):
            report, results = run(study(tiny_model), tmp_path / name, mark)
            if report.failure is not None:  # so busy that the client itself was kept waiting: told in its own words
                assert "its host has a load of" in report.message
                continue
            assert report.disturbed
            (row,) = results.measurements.to_dict("records")
            assert "other processes had" in row["disturbed"]
            assert 0.1 <= row["cpu_wait_share"] < 1
            assert results.summary["disturbed"]["trials"] == ["0000"]
            (line,) = disturbed_lines(results)
            assert line.startswith("1 of 1 load points was disturbed, and the searcher was not told of trial 0000")


def growth(meter: CpuMeter, seconds: float) -> dict[str, float]:
    before, began = meter.read(), time.monotonic()
    while time.monotonic() - began < seconds:  # as a thread of the trial's own
        pass
    after = meter.read()
    assert before is not None
    assert after is not None
    took_s = time.monotonic() - began
    return {name: (after[name] - before[name]) / took_s for name in after}


def test_what_others_have_is_told_from_what_is_our_own(tmp_path: Path) -> None:
    os.sched_setaffinity(0, CORES[:1])
    try:
        meter = CpuMeter(CORES[:1])
        with strangers_spinning(tmp_path):
            time.sleep(0.3)
            found = growth(meter, 2.0)
    finally:
        os.sched_setaffinity(0, CORES)
    assert found["cpu_run_s"] + found["cpu_wait_s"] > 0.85, "it ran, or wanted to"
    assert found["cpu_wait_s"] > 0.3, "the core is shared with one that spins"
    assert found["cpu_others_s"] > 0.3
    assert found["cpu_run_s"] + found["cpu_others_s"] < 1.2, "there is one core"
