"""Trials whose servers and GPUs are asked: a real llama.cpp, and the true NVML binding over a library of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from autotuner.errors import Failure
from autotuner.results import OutputFolder, Store, resolved_yaml
from autotuner.results.records import Phase
from autotuner.results.rescoring import rescore
from autotuner.results.result import load_results
from autotuner.space.config import Config
from autotuner.study.model import Slo, Study
from autotuner.tuning.decisions.assignment import Assignment, RungReport
from autotuner.tuning.store_service import StoreService
from autotuner.tuning.trial.launch import Place
from autotuner.tuning.trial.rig import make_rig
from autotuner.tuning.trial.trial import TrialRun

WATTS = 300.0  # of both GPUs together, in programs/nvml.c


def server_columns(metrics: Any) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name.startswith(("server_", "gpu_", "energy_"))}


def only_level(report: RungReport) -> Mapping[str, float]:
    """What was measured at the one load level that this file's studies have."""
    (metrics,) = report.metrics.values()
    return metrics


def llama_study(model: Path, **args: Any) -> Study:
    """Eight users on two slots; of each prompt the first 64 tokens are the same.

    Answers are long, and so is the wait for a slot: a client that a busy machine keeps waiting is not late beside it.
    """
    return Study.model_validate(
        {
            "name": "watched",
            "model": {"id": str(model), "served_name": "tiny"},
            "engine": {"name": "llamacpp", "args": {"ctx-size": 1024, "parallel": 2, "threads": 1, **args}},
            "workload": {
                "scenario": "D(96,144)",
                "shared_prefix_tokens": 64,
                "load": {"concurrency": [8]},
                "requests": {"min": 64},
            },
            "objective": "throughput",
            "fidelity": {"trial_scheduler": "none", "rungs": 2, "eta": 2},
            "search": {"heed_disturbance": False},  # what is told is known to the last column
        }
    )


@pytest.mark.usefixtures("own_locks")
def test_what_a_real_server_tells_is_measured_kept_and_gone_on_with(
    tiny_model: Path, tmp_path: Path, mark: str
) -> None:
    study = llama_study(tiny_model, metrics=True)
    folder = OutputFolder(tmp_path / "study")
    folder.prepare(study, "s1")
    store = StoreService(str(folder.path), resolved_yaml(study, "s1"), "s1", study.name)

    def life(rung: int) -> dict[str, float]:
        """One actor's: it runs one rung and is gone."""
        place = Place("node", (), "", folder.trial_logs("0000"), {"AUTOTUNER_STUDY": mark})
        assignment = Assignment("0000", Phase.BASELINE, Config({}), 2)
        trial = TrialRun(study, assignment, place, make_rig(study), store, None)
        try:
            report = trial.run_rung(rung)
        finally:
            trial.release()
        assert report.failure is None, report.message
        return server_columns(only_level(report))

    first, second = life(0), life(1)
    for found in (first, second):
        assert set(found) == {
            "server_running_mean",
            "server_waiting_mean",
            "server_waiting_max",
            "server_prefix_hit_rate",
        }
        assert 1 < found["server_running_mean"] <= 2
        assert 4 < found["server_waiting_mean"] <= found["server_waiting_max"] <= 6
        assert 0.4 < found["server_prefix_hit_rate"] < 1
    with Store(folder.database_url, folder.requests) as reader:
        reader.read_study()
        runs = reader.runs("0000")
    assert [rung for rung, _ in runs] == [0, 1]
    assert all(run.telemetry is not None and len(run.telemetry.samples) > 2 for _, run in runs)
    results = load_results(folder.path)
    assert server_columns(results.measurements.iloc[1].dropna()) == second
    again = rescore(results, Slo())
    assert server_columns(again.measurements.iloc[1].dropna()) == pytest.approx(second)


@pytest.mark.usefixtures("own_locks")
def test_a_server_that_tells_nothing_has_no_columns(tiny_model: Path, tmp_path: Path, mark: str) -> None:
    study = llama_study(tiny_model, metrics=False)
    store = StoreService(str(tmp_path), resolved_yaml(study, "s1"), "s1", study.name)
    place = Place("node", (), "", tmp_path / "logs", {"AUTOTUNER_STUDY": mark})
    trial = TrialRun(study, Assignment("0000", Phase.BASELINE, Config({}), 2), place, make_rig(study), store, None)
    try:
        assert server_columns(only_level(trial.run_rung(0))) == {}
    finally:
        trial.release()
    assert not (tmp_path / "telemetry").exists()


# ── GPUs ──────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def metered_trial(tiny_model: Path, tmp_path: Path, programs: Path, mark: str) -> Callable[[Path | None], Any]:
    """Runs programs/metered_trial.py with the library of a folder; what it prints.

    Once more where others on the machine kept the load driver waiting, as a study does.
    """

    def run(library: Path | None) -> Any:
        for attempt in range(8):
            told = run_once(library, str(tmp_path / f"study-{attempt}"))
            if told["failure"] != Failure.CLIENT_SATURATED:
                break
        return told

    def run_once(library: Path | None, folder: str) -> Any:
        command = [sys.executable, str(programs / "metered_trial.py"), str(tiny_model), folder]
        environment = {**os.environ, "MARK": mark, "TMPDIR": str(tmp_path)}
        if library is not None:
            environment["LD_LIBRARY_PATH"] = str(library)
        ended = subprocess.run(command, env=environment, stdout=subprocess.PIPE, timeout=120, check=True)
        return json.loads(ended.stdout)

    return run


@pytest.mark.parametrize("macros", [(), ("NO_ENERGY",)], ids=["energy counter", "power alone"])
def test_gpus_are_metered_and_energy_per_token_is_an_objective(
    macros: tuple[str, ...], nvml: Callable[..., Path], metered_trial: Callable[[Path | None], Any]
) -> None:
    """300 W all the while: joules a token are watts over tokens a second."""
    told = metered_trial(nvml(*macros))
    assert told["feasible"], told["reason"]
    found = told["metrics"]
    assert found["gpu_memory_gib_max"] == 20
    assert found["gpu_utilization_mean"] == pytest.approx(0.6)
    assert found["gpu_power_w_mean"] == WATTS
    assert found["energy_j_per_token"] == pytest.approx(WATTS / found["output_tokens_per_s"], rel=0.02)
    assert told["score"] == found["energy_j_per_token"]


def test_without_a_driver_energy_is_unknown_and_nothing_else_suffers(
    nvml: Callable[..., Path], metered_trial: Callable[[Path | None], Any]
) -> None:
    told = metered_trial(nvml("NO_DRIVER"))
    assert not told["feasible"]
    assert "energy_j_per_token could not be had" in told["reason"]
    assert not [name for name in server_columns(told["metrics"]) if name.startswith(("gpu_", "energy_"))]
    assert told["metrics"]["output_tokens_per_s"] > 0
