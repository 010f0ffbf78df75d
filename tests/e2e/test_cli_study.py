"""What a study leaves, and what the commands make of it: names, columns and keys are a contract."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from autotuner.benchmark.traffic.arrivals import REPEAT_OFFSET
from autotuner.servers.replay.table import read_table
from tests.e2e.studies import Ended, Told, assert_nothing_left, paced_study, rows

FILES = (
    *("study.yaml", "results.sqlite", "summary.json", "trials.csv", "measurements.csv", "pareto.csv", "report.html"),
    *("requests/0000-r0.parquet", "requests/0000-r1.parquet", "requests/0001-c1-r0.parquet"),
    *("deploy/top1/serve.sh", "deploy/top1/compose.yaml", "deploy/top1/kubernetes.yaml", "deploy/top3/serve.sh"),
)
TABLES = {"studies": 1, "trials": 7, "rungs": 10, "measurements": 10}  # rows of each
METRICS = (
    *("ttft_p90_ms", "tpot_mean_ms", "itl_p99_ms", "e2e_p50_ms", "output_tokens_per_s", "total_tokens_per_s"),
    *("requests_per_s", "goodput_per_s", "output_tokens_per_s_per_gpu", "total_tokens_per_s_per_gpu"),
    *("requests_per_s_per_gpu", "goodput_per_s_per_gpu", "tokens_per_s_per_user", "cost_per_mtok", "error_rate"),
    *("energy_j_per_token", "server_kv_cache_use_max", "server_running_mean", "gpu_memory_gib_max"),
)
CONFIG = ("config.parallel", "config.batch-size", "config.env.TTFT_MS")
TRIALS = (
    *("trial_id", "phase", "state", "failure", "rung", "score", "feasible", "slo_met", "gpus", "accelerator", "node"),
    *("launch_id", "started_at", "gpu_seconds", "startup_s", "engine_version", *CONFIG, *METRICS),
)
MEASUREMENTS = ("trial_id", "rung", "level", "load_kind", "requests", "errors", "feasible", "slo_met", *METRICS)
PARETO = ("trial_id", "level", "ttft_p50", *CONFIG)
SPENT = {"reserved", "loading", "measuring", "failed"}


@pytest.fixture
def table(ended_study: Ended) -> Callable[[str], pd.DataFrame]:
    return lambda name: pd.read_csv(ended_study.folder / name, dtype={"trial_id": str})


# ── the output folder ─────────────────────────────────────────────────────────────────────────


def test_the_output_folder_has_every_file(ended_study: Ended) -> None:
    assert [name for name in FILES if not (ended_study.folder / name).is_file()] == []
    trials = {"0000", "0001", "0002", "0000-c1", "0001-c1", "0000-c2", "0001-c2"}
    for folder in ("logs", "tensorboard"):
        assert {path.name for path in (ended_study.folder / folder).iterdir()} == trials
    for trial in trials:
        assert list((ended_study.folder / "logs" / trial).glob("*.log"))
    assert not (ended_study.folder / "ray").exists()


@pytest.mark.parametrize("name", TABLES)
def test_the_store_has_its_tables(ended_study: Ended, name: str) -> None:
    assert len(rows(ended_study.folder, f"SELECT * FROM {name}")) == TABLES[name]


def test_the_store_has_no_failure_but_those_of_a_busy_machine(ended_study: Ended) -> None:
    failures = rows(ended_study.folder, "SELECT failure FROM failures")
    assert {row["failure"] for row in failures} <= {"CLIENT_SATURATED"}


@pytest.mark.parametrize(
    ("name", "columns"), [("trials.csv", TRIALS), ("measurements.csv", MEASUREMENTS), ("pareto.csv", PARETO)]
)
def test_tables_have_their_columns(table: Callable[[str], pd.DataFrame], name: str, columns: tuple[str, ...]) -> None:
    assert [column for column in columns if column not in table(name).columns] == []


def test_the_tables_tell_what_was_measured(ended_study: Ended, table: Callable[[str], pd.DataFrame]) -> None:
    trials = table("trials.csv").set_index("trial_id")
    assert trials["phase"].value_counts().to_dict() == {"confirm": 4, "search": 2, "baseline": 1}
    assert set(trials["state"]) == {"completed"}
    assert set(trials["gpus"]) == {0}
    assert (trials["ttft_p50_ms"] - trials["config.env.TTFT_MS"]).between(-5, 95).all()
    default = trials.to_dict("index")["0000"]
    assert not default["slo_met"]
    assert default["score"] > default["ttft_p50_ms"]  # the penalty of the SLO it breaks
    measured = table("measurements.csv")
    # Cumulative; on a busy machine a point may be spoiled by its client.
    spoiled = {row["trial_id"] for row in rows(ended_study.folder, "SELECT trial_id FROM failures")}
    for trial, requests in {"0001": [16, 24], "0001-c1": [24]}.items():
        assert measured.query("trial_id == @trial")["requests"].tolist() == requests or trial in spoiled
    assert table("pareto.csv")["trial_id"].tolist() == ["0001"]


def test_every_measured_request_is_kept(ended_study: Ended) -> None:
    files = sorted((ended_study.folder / "requests").glob("0001-r*.parquet"))
    requests = pd.concat([pd.read_parquet(file) for file in files])
    assert {"trial_id", "rung", "level", "error"} <= set(requests.columns)
    measured = requests[~requests["warmup"]]
    # No prompt is sent twice to one server; a load point that is measured once more has numbers of its own.
    assert sorted(measured["index"] % REPEAT_OFFSET) == list(range(24))
    assert measured["error"].isna().all()


def test_the_summary_has_its_keys(ended_study: Ended) -> None:
    summary = ended_study.summary
    assert (summary["name"], summary["status"], summary["stop_reason"]) == ("paced", "completed", "all trials done")
    assert summary["objective"] == "ttft_p50"
    assert summary["trials"] == {"total": 3, "completed": 3, "stopped": 0, "failed": 0, "running": 0}
    assert {"trial_id", "config", "level", "metrics", "score", "slo_met"} <= set(summary["best"])
    assert (summary["best"]["trial_id"], summary["baseline"]["trial_id"]) == ("0001", "0000")
    assert set(summary["gpu_seconds"]) == set(summary["cpu_seconds"]) == SPENT
    assert summary["cpu_seconds"]["reserved"] > summary["cpu_seconds"]["measuring"] > 0
    assert summary["closest"] is None
    assert [point["trial_id"] for point in summary["pareto"]] == ["0001"]
    improvement = summary["improvement"]
    assert (improvement["metric"], improvement["recommended"], improvement["rounds"]) == ("ttft_p50_ms", True, 2)
    low, high = improvement["ci95"]
    assert low <= improvement["ratio"] <= high < 1


def test_run_prints_the_summary_alone_and_tells_its_progress_elsewhere(ended_study: Ended) -> None:
    assert json.loads(ended_study.output) == ended_study.summary
    assert "trial 0001 completed" in ended_study.errors
    assert "study ended: all trials done" in ended_study.errors


def test_the_resolved_study_shows_every_default_and_is_valid(ended_study: Ended, ask: Callable[..., Any]) -> None:
    resolved = yaml.safe_load((ended_study.folder / "study.yaml").read_text(encoding="utf-8"))
    assert resolved["slo"]["steepness"] == 0.1
    assert resolved["hardware"]["client_cpus"] == 1
    assert ask("check", ended_study.folder / "study.yaml")["configs"] == {"number": 2, "exact": True}


def test_no_process_of_an_ended_study_is_left(ended_study: Ended) -> None:
    assert_nothing_left(ended_study.place, ended_study.folder)


# ── going on ──────────────────────────────────────────────────────────────────────────────────


def test_a_folder_with_results_is_refused_with_the_hint_to_resume(
    ended_study: Ended, tell: Callable[..., Told]
) -> None:
    study = paced_study(ended_study.place)
    for changed in ([], ["--set", "search.trials=9"]):
        told = tell("run", study, "--out", ended_study.folder, "--json", *changed)
        assert told.code == 2
        assert told.document["code"] == "folder"
        assert f"autotuner resume {ended_study.folder}" in told.errors
        assert len(told.errors.splitlines()) == 1


def test_resuming_an_ended_study_measures_nothing(ended_study: Ended, tmp_path: Path) -> None:
    copy = _copy(ended_study, tmp_path)
    before = rows(copy, "SELECT * FROM rungs")
    told = ended_study.place.run("resume", copy)
    assert told.returncode == 0, told.stderr
    assert "trial 0001 beats the default" in " ".join(told.stdout.split())
    assert rows(copy, "SELECT * FROM rungs") == before
    assert "started" not in told.stderr
    summary = json.loads((copy / "summary.json").read_text(encoding="utf-8"))
    assert summary == ended_study.summary, "nor does it spend anything"


# ── looking at it ─────────────────────────────────────────────────────────────────────────────


def test_the_report_is_rebuilt(ended_study: Ended, tmp_path: Path, ask: Callable[..., Any]) -> None:
    copy = _copy(ended_study, tmp_path)
    made = ("report.html", "summary.json", "trials.csv", "measurements.csv", "pareto.csv")
    before = {name: (copy / name).read_text(encoding="utf-8") for name in made}
    deployed = {path: path.read_bytes() for path in (copy / "deploy").rglob("*") if path.is_file()}
    assert deployed
    for name in made:
        (copy / name).write_text("spoiled", encoding="utf-8")
    (copy / "deploy" / "top9").mkdir()
    (copy / "deploy" / "NOT-WRITTEN.txt").write_text("an earlier reason", encoding="utf-8")
    shutil.rmtree(copy / "deploy" / "top1")
    for _ in range(2):
        told = ask("report", copy)
        assert told == {"report": str(copy / "report.html")}
        assert {name: (copy / name).read_text(encoding="utf-8") for name in made} == before
        assert {path: path.read_bytes() for path in (copy / "deploy").rglob("*") if path.is_file()} == deployed
        assert "trials" in pd.read_excel(copy / "report.xlsx", sheet_name=None)
    assert not (copy / "deploy" / "top9").exists()


@pytest.mark.parametrize("words", [("report",), ("export", "--target", "shell")])
def test_one_objective_leaves_nothing_to_prefer(ended_study: Ended, words: tuple[str, ...]) -> None:
    command, *options = words
    told = ended_study.place.run(command, ended_study.folder, *options, "--prefer", "ttft=1", "--json")
    assert told.returncode == 2
    assert json.loads(told.stdout)["key"] == "prefer"


def test_one_file_alone_is_made_where_it_is_asked_for(
    ended_study: Ended, tmp_path: Path, ask: Callable[..., Any]
) -> None:
    copy = _copy(ended_study, tmp_path)
    (copy / "trials.csv").write_text("mine", encoding="utf-8")
    elsewhere = tmp_path / "book.xlsx"
    for arguments in (["--format", "xlsx", "--out", elsewhere], ["--out", elsewhere.with_suffix(".html")]):
        assert ask("report", copy, *arguments) == {"report": str(arguments[-1])}
    assert "trials" in pd.read_excel(elsewhere, sheet_name=None)
    assert (copy / "trials.csv").read_text(encoding="utf-8") == "mine"


def test_studies_are_compared(
    ended_study: Ended, tmp_path: Path, ask: Callable[..., Any], tell: Callable[..., Told]
) -> None:
    copy = _copy(ended_study, tmp_path)
    first, second = ask("compare", ended_study.folder, copy)["studies"]
    assert (first["best_trial"], first["trials"], first["recommended"]) == ("0001", 3, True)
    assert {**first, "path": ""} == {**second, "path": ""}
    assert "0001" in tell("compare", ended_study.folder, copy).output


def test_kept_requests_are_scored_under_other_slos(
    ended_study: Ended, tmp_path: Path, ask: Callable[..., Any], tell: Callable[..., Told]
) -> None:
    slo = tmp_path / "slo.yaml"
    slo.write_text("ttft: {p50: {threshold_ms: 100}}\n", encoding="utf-8")
    before = (ended_study.folder / "summary.json").read_bytes()
    report = tmp_path / "strict.html"
    told = tell("rescore", ended_study.folder, "--slo", slo, "--out", report, "--json")
    rescored = told.document
    assert told.code == 1, "nothing meets them"
    assert rescored["before"] == ended_study.summary
    assert not rescored["after"]["best"]["slo_met"]
    assert rescored["after"]["closest"]["trial_id"] == "0001"
    assert rescored["report"] == str(report)
    assert "No Config meets the SLOs" in report.read_text(encoding="utf-8")
    for limits in ([slo], ["ttft.p50=100ms"]):
        told = tell("rescore", ended_study.folder, *(word for limit in limits for word in ("--slo", limit)))
        assert told.code == 1
        assert "does not meet every SLO" in told.output
    assert (ended_study.folder / "summary.json").read_bytes() == before
    loose = ask("rescore", ended_study.folder, "--slo", "ttft.p50=10s", "--slo", "error_rate=50%")
    assert loose["after"]["best"]["slo_met"]
    page = (ended_study.folder / "rescored.html").read_text(encoding="utf-8")
    assert "Scored anew" in page
    assert "10,000 ms" in page


def test_limits_that_can_not_be_read_are_refused_before_anything_is_scored(
    ended_study: Ended, tell: Callable[..., Told]
) -> None:
    told = tell("rescore", ended_study.folder, "--slo", "ttft.p90s=100ms", "--json")
    assert (told.code, told.document["nearest"]) == (2, "ttft.p90")


@pytest.mark.parametrize(
    ("target", "name"), [("shell", "serve.sh"), ("compose", "compose.yaml"), ("kubernetes", "kubernetes.yaml")]
)
def test_deployment_files_are_exported(
    ended_study: Ended, target: str, name: str, tmp_path: Path, ask: Callable[..., Any]
) -> None:
    top = ask("export", ended_study.folder, "--target", target, "--top", "2", "--out", tmp_path)
    assert top == {"files": [str(tmp_path / place / name) for place in ("top1", "top2")]}
    one = ask("export", ended_study.folder, "--target", target, "--trial", "0000", "--out", tmp_path)
    assert one == {"files": [str(tmp_path / "0000" / name)]}
    for folder, pace in {"top1": "600", "top2": "900", "0000": "1200"}.items():
        text = (tmp_path / folder / name).read_text(encoding="utf-8")
        assert "TTFT_MS" in text
        assert pace in text
    if target == "shell":
        assert (tmp_path / "top1" / name).stat().st_mode & stat.S_IXUSR
    else:
        assert list(yaml.safe_load_all((tmp_path / "top1" / name).read_text(encoding="utf-8")))


def test_the_measurements_are_exported(ended_study: Ended, tmp_path: Path, ask: Callable[..., Any]) -> None:
    file, table = ask("export", ended_study.folder, "--target", "table", "--out", tmp_path)["files"]
    assert read_table(Path(table)).launches, "a study can be replayed from it"
    pd.testing.assert_frame_equal(pd.read_csv(file), pd.read_csv(ended_study.folder / "measurements.csv"))


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["--target", "helm"], "target"),
        (["--target", "shell", "--trial", "0099"], "trial"),
        (["--target", "shell", "--top", "0"], "top"),
    ],
    ids=["target", "trial", "top"],
)
def test_an_export_of_what_is_not_there_is_refused(
    ended_study: Ended, arguments: list[str], key: str, tell: Callable[..., Told]
) -> None:
    told = tell("export", ended_study.folder, *arguments, "--json")
    assert (told.code, told.document["key"]) == (2, key)
    assert told.document["rule"]


def _copy(study: Ended, folder: Path) -> Path:
    return Path(shutil.copytree(study.folder, folder / "copy"))
