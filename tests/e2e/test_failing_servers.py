"""Servers that fail: each is a Failure in the results, nothing measured is lost, nothing is left running."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
import pytest

from tests.e2e.studies import Ended, Workplace, assert_nothing_left, merged, mock_engine


@dataclass(frozen=True)
class Failed(Ended):
    """A study of failing servers, with each trial under the name of its fault."""

    code: int

    @cached_property
    def trials(self) -> dict[str, dict[str, Any]]:
        frame = pd.read_csv(self.folder / "trials.csv", dtype={"trial_id": str})
        rows = [{str(name): value for name, value in row.items()} for row in frame.astype(object).to_dict("records")]
        return {row["config.env.FAULT"]: row for row in rows}

    def measured(self, fault: str) -> pd.DataFrame:
        frame = pd.read_csv(self.folder / "measurements.csv", dtype={"trial_id": str})
        return frame.query("trial_id == @trial_id", local_dict={"trial_id": self.trials[fault]["trial_id"]})

    def failures(self, fault: str) -> list[dict[str, Any]]:
        with sqlite3.connect(self.folder / "results.sqlite") as connection:
            connection.row_factory = sqlite3.Row
            found = connection.execute("SELECT * FROM failures WHERE trial_id = ?", [self.trials[fault]["trial_id"]])
            return [dict(row) for row in found]


def run_study(place: Workplace, baseline: str, others: list[str], **overrides: Any) -> Failed:
    """One trial a fault, in a study that has nothing else."""
    out = place.folder / f"out-{baseline}"
    engine = mock_engine()
    keys: dict[str, Any] = {
        "name": baseline.replace("_", "-"),
        "engine": {"command": engine["command"]},
        "space": {"parameters": {"parallel": [1], "batch-size": [512], "env.FAULT": others}},
        "workload": {"load": {"concurrency": [2, 8]}, "requests": {"per_slot": 4, "min": 8}, "client_lag_ms": 10_000},
        "objective": "throughput",
        "search": {"algorithm": "grid", "trials": 1 + len(others), "baseline": {"env.FAULT": baseline}},
        "fidelity": {"rungs": 1},
    }
    done = place.run("run", place.study_file(place.folder, **merged(keys, overrides)), "--out", out)
    return Failed(out, place, done.stdout, done.stderr, done.returncode)


@pytest.fixture(scope="module")
def never_up(shared_place: Workplace) -> Failed:
    return run_study(shared_place, "dies", ["refuses", "never_ready"], timeouts={"start_s": 12})


@pytest.fixture(scope="module")
def under_load(shared_place: Workplace) -> Failed:
    faults = ["500", "cut", "hang", "crash", "exhausted"]
    return run_study(shared_place, "flaky", faults, timeouts={"request_s": 5})


@pytest.fixture(scope="module")
def odd_ones(shared_place: Workplace) -> Failed:
    """Servers that do less than the slow default, and would look better by what they leave out."""
    others = ["odd:dead", "odd:error_object", "odd:finishes", "odd:one_chunk"]
    slo = {"tpot": {"mean": {"threshold_ms": 50}}}
    return run_study(shared_place, "", others, slo=slo, search={"confirm": 0}, name="odd-ones")


# ── it does not come up ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "failure", "message"),
    [
        ("dies", "CRASH", "tensor 39 | llama_model_loader: the tensor blk.7 is cut short"),
        ("refuses", "INVALID_CONFIG", "error: invalid argument: --warp-speed"),
        ("never_ready", "STARTUP_TIMEOUT", "not ready within 12 s"),
    ],
)
def test_a_server_that_does_not_come_up_is_a_failure_that_says_why(
    never_up: Failed, fault: str, failure: str, message: str
) -> None:
    trial = never_up.trials[fault]
    assert (trial["state"], trial["failure"]) == ("failed", failure)
    assert message in trial["message"]
    assert not trial["feasible"]
    assert f"trial {trial['trial_id']} failed {failure}" in never_up.errors  # while the study runs …
    assert message in " ".join(never_up.output.split())  # … and in what it prints at its end
    assert len(never_up.measured(fault)) == 0


def test_the_last_lines_of_a_dead_servers_log_are_kept_and_shown(never_up: Failed) -> None:
    (failure,) = never_up.failures("dies")
    lines = failure["log_tail"].splitlines()
    assert lines[-2:] == ["llama_model_loader: tensor 39", "llama_model_loader: the tensor blk.7 is cut short"]
    assert "llama_model_loader: tensor 39" in (never_up.folder / "report.html").read_text(encoding="utf-8")
    logs = list((never_up.folder / "logs" / never_up.trials["dies"]["trial_id"]).glob("*rank0.log"))
    assert [log.read_text(encoding="utf-8").splitlines()[-1] for log in logs] == [lines[-1]]


def test_a_study_of_which_nothing_was_measured_ends_with_code_1_and_all_its_files(never_up: Failed) -> None:
    assert never_up.code == 1
    summary = never_up.summary
    assert summary["status"] == "completed"
    assert summary["trials"] == {"total": 3, "completed": 0, "stopped": 0, "failed": 3, "running": 0}
    assert (summary["best"], summary["closest"], summary["pareto"]) == (None, None, [])
    assert summary["baseline"]["reason"].startswith("CRASH")
    for name in ("trials.csv", "measurements.csv", "pareto.csv", "report.html", "study.yaml"):
        assert (never_up.folder / name).is_file()
    assert "No Config is feasible" in never_up.output
    assert "Traceback" not in never_up.errors


# ── it fails under load ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "failure", "message"),
    [
        ("500", "BAD_RESPONSES", "out of luck"),
        ("cut", "BAD_RESPONSES", "cut"),
        ("hang", "HANG", "timeout"),
        ("crash", "CRASH", "an assertion does not hold"),
        ("exhausted", "OUT_OF_MEMORY_UNDER_LOAD", "failed to allocate buffer"),
    ],
)
def test_a_server_that_fails_under_load_is_a_failure(
    under_load: Failed, fault: str, failure: str, message: str
) -> None:
    trial = under_load.trials[fault]
    assert (trial["state"], trial["failure"]) == ("failed", failure)
    assert message in trial["message"]
    assert not trial["feasible"]
    assert failure in {row["failure"] for row in under_load.failures(fault)}


@pytest.mark.parametrize("fault", ["crash", "exhausted"])
def test_what_was_measured_before_a_crash_stays_in_the_tables(under_load: Failed, fault: str) -> None:
    (row,) = under_load.measured(fault).to_dict("records")
    assert (row["level"], row["requests"], row["errors"]) == (2, 8, 0)
    assert row["feasible"]
    assert row["output_tokens_per_s"] > 0
    assert "concurrency 8" in {str(failure["level"]) for failure in under_load.failures(fault)}


@pytest.mark.parametrize("fault", ["500", "cut", "hang", "crash", "exhausted"])
def test_every_request_that_was_sent_is_kept_with_its_error(under_load: Failed, fault: str) -> None:
    files = sorted((under_load.folder / "requests").glob(f"{under_load.trials[fault]['trial_id']}-*.parquet"))
    requests = pd.concat([pd.read_parquet(file) for file in files])
    errors = set(requests["error"].dropna())
    expected = {"500": {"http_status"}, "cut": {"cut"}, "hang": {"timeout"}}.get(fault)
    assert errors - {"cancelled"} == expected if expected else errors


def test_a_study_without_a_feasible_config_ends_with_code_1_and_tells_what_came_closest(under_load: Failed) -> None:
    assert under_load.code == 1
    summary = under_load.summary
    assert summary["trials"] == {"total": 6, "completed": 1, "stopped": 0, "failed": 5, "running": 0}
    assert summary["best"] is None
    assert summary["closest"]["trial_id"] == "0000"
    assert summary["closest"]["metrics"]["error_rate"] > 0.2
    assert "No Config is feasible. Trial 0000 came closest" in under_load.output
    assert not list(under_load.folder.glob("deploy/*"))


# ── it answers, and does no work ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("odd:dead", "without any text and without tokens"),
        ("odd:error_object", "the engine is dead"),
        ("odd:finishes", "finish_reason 'abort'"),
    ],
)
def test_answers_without_work_are_failures(odd_ones: Failed, fault: str, message: str) -> None:
    trial = odd_ones.trials[fault]
    assert (trial["state"], trial["failure"]) == ("failed", "BAD_RESPONSES")
    assert message in trial["message"]
    assert not trial["feasible"]


def test_an_slo_that_could_not_be_measured_is_not_met(odd_ones: Failed) -> None:
    trial = odd_ones.trials["odd:one_chunk"]
    assert (trial["state"], trial["feasible"], trial["slo_met"]) == ("completed", False, False)
    for row in odd_ones.measured("odd:one_chunk").to_dict("records"):
        assert row["errors"] == 0
        assert not row["slo_met"]
        assert pd.isna(row["tpot_mean_ms"])
        assert row["tokens_by"] == "usage"
        assert "came at once" in row["notes"]


def test_only_who_did_the_work_is_best(odd_ones: Failed) -> None:
    assert odd_ones.code == 0
    best = odd_ones.summary["best"]
    assert best["trial_id"] == "0000"
    assert best["metrics"]["output_tokens_per_s"] > 0


def test_no_server_is_left_running(shared_place: Workplace, never_up: Failed, under_load: Failed) -> None:
    assert_nothing_left(shared_place, never_up.folder, under_load.folder)
