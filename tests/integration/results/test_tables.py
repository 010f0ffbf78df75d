"""A study of known requests, through the real store, to frames, tables and summary."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from autotuner.errors import Failure, FolderError
from autotuner.metrics import LoadKind, LoadLevel, PointRun, RequestRecord, measure, measure_context
from autotuner.results import (
    OutputFolder,
    Phase,
    RungRecord,
    Store,
    StudyStatus,
    TrialEnd,
    TrialRecord,
    TrialState,
    Usage,
    compare,
    load_results,
    rescore,
    resolved_yaml,
    write_tables,
)
from autotuner.scoring import parse_objective, score_rung
from autotuner.study.model import Slo, Study

ONE, FOUR = LoadLevel(LoadKind.CONCURRENCY, 1), LoadLevel(LoadKind.CONCURRENCY, 4)


def make_study(**changes: Any) -> Study:
    body: dict[str, Any] = {
        "name": "known",
        "model": {"id": "m"},
        "engine": {"name": "llamacpp"},
        "hardware": {"cost_per_gpu_hour": 3.6},
        "workload": {"scenario": "D(10,11)", "load": {"concurrency": [1, 4]}},
        "slo": {"ttft": {"p90": {"threshold_ms": 300}}},
        "objective": ["throughput", "ttft_p90"],
        "fidelity": {"rungs": 2},
    }
    return Study.model_validate(body | changes)


def run_of(level: LoadLevel, *, ttft: float, speed: float, count: int = 12) -> PointRun:
    """Every slot sends ``count`` requests of ``11 / speed`` seconds, back to back: ``speed`` tokens/s a slot."""
    length = 11 / speed
    records: list[RequestRecord] = []
    for n in range(count):
        for slot in range(int(level.value)):
            start = n * length
            times = [start + ttft + k * (length - ttft) / 10 for k in range(11)]
            times[-1] = start + length
            records.append(
                RequestRecord(
                    index=len(records) + slot,
                    warmup=False,
                    scheduled_s=start,
                    sent_s=start,
                    first_token_s=times[0],
                    last_token_s=times[-1],
                    end_s=times[-1],
                    prompt_tokens=10,
                    output_tokens=11,
                    expected_output_tokens=11,
                    chunk_s=tuple(times),
                )
            )
    return PointRun(level, tuple(records))


class Writer:
    """Writes trials as a driver would."""

    def __init__(self, path: Path, study: Study) -> None:
        self.study = study
        self.folder = OutputFolder(path)
        self.folder.prepare(study, "s1")
        self.store = Store(self.folder.database_url, self.folder.requests)
        self.store.open_study(resolved_yaml(study, "s1"), "s1", study.name, now=1.0)

    def trial(
        self,
        trial_id: str,
        rungs: Sequence[Mapping[LoadLevel, tuple[float, float]]],
        *,
        phase: Phase = Phase.SEARCH,
        state: TrialState = TrialState.COMPLETED,
        failure: Failure | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        """``rungs`` map each level to (ttft, tokens/s a slot)."""
        self.store.add_trial(TrialRecord(trial_id, phase, config or {"n": int(trial_id[:4])}, 10.0, gpus=2, cpus=3))
        kept: dict[LoadLevel, list[PointRun]] = {}
        for number, levels in enumerate(rungs):
            runs = [run_of(level, ttft=ttft, speed=speed) for level, (ttft, speed) in levels.items()]
            for run in runs:
                kept.setdefault(run.level, []).append(run)
            context = measure_context(self.study, gpus=2, cpus=3, replicas=1)
            measured = tuple(measure(level, kept[level], context) for level in levels)
            objectives = [parse_objective(name) for name in self.study.objectives]
            score = score_rung(measured, [], self.study.slo, objectives)
            usage = Usage(10.0 * (number + 1), 2, 3)
            self.store.add_rung(
                RungRecord(trial_id, number, f"{trial_id}-l1", score, measured, 20.0, usage, tuple(runs))
            )
        if state is not TrialState.RUNNING:
            self.store.end_trial(TrialEnd(trial_id, state, 30.0, Usage(20, 5, 10), failure, failure or ""))

    def end(self) -> Path:
        self.store.end_study(StudyStatus.COMPLETED, "all trials ended", now=9.0)
        self.store.close()
        return self.folder.path


GOOD = {ONE: (0.1, 10.0), FOUR: (0.2, 8.0)}  # 10 and 32 tokens/s, within the SLO
SLOW = {ONE: (0.1, 5.0), FOUR: (0.2, 4.0)}  # 5 and 16
LATE = {ONE: (0.25, 12.0), FOUR: (0.33, 14.0)}  # 12 within the SLO, 56 over it by 10 %


def whole_study(path: Path) -> Path:
    writer = Writer(path, make_study())
    writer.trial("0000", [SLOW, SLOW], phase=Phase.BASELINE, config={"n": 0, "map": {"a": 1}})
    writer.trial("0001", [GOOD, GOOD], config={"n": 1, "text": "a,b\n'\"", "none": None})
    writer.trial("0002", [{ONE: (0.01, 50.0), FOUR: (0.02, 40.0)}], state=TrialState.STOPPED)
    writer.trial("0003", [GOOD], state=TrialState.FAILED, failure=Failure.OUT_OF_MEMORY_UNDER_LOAD)
    writer.trial("0004", [], state=TrialState.FAILED, failure=Failure.INFRASTRUCTURE)
    writer.trial("0005", [LATE, LATE])
    for round_ in (1, 2, 3):
        faster = {ONE: (0.1, 10.0), FOUR: (0.2, 8.0 + round_ / 100)}
        writer.trial(f"0001-c{round_}", [faster], phase=Phase.CONFIRM)
        writer.trial(f"0000-c{round_}", [SLOW], phase=Phase.CONFIRM)
    return writer.end()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_study(tmp_path_factory.mktemp("whole") / "out")


def test_trials_csv_has_the_columns_of_the_contract(path: Path) -> None:
    write_tables(path)
    frame = pd.read_csv(path / "trials.csv", dtype={"trial_id": str})
    contract = "trial_id phase state failure rung score feasible slo_met gpus accelerator node launch_id started_at"
    assert {*contract.split(), "gpu_seconds", "startup_s", "engine_version"} <= set(frame.columns)
    rows = frame.set_index("trial_id")
    assert rows["phase"].tolist()[:2] == ["baseline", "search"]
    assert rows.loc["0001", "rung"] == 1
    assert rows.loc["0001", "score"] == pytest.approx(32)
    assert rows.loc["0001", "output_tokens_per_s"] == pytest.approx(32)
    assert rows.loc["0001", "output_tokens_per_s_per_gpu"] == pytest.approx(16)
    assert rows.loc["0001", "cost_per_mtok"] == pytest.approx(2 * 3.6 * 1e6 / 3600 / 32)
    assert rows.loc["0001", "config.text"] == "a,b\n'\""
    assert rows.loc["0000", "config.map"] == '{"a": 1}'
    assert rows.loc["0000", "gpu_seconds"] == 40
    assert rows.loc["0005", "score"] == pytest.approx(56 / (1 + math.e))
    assert (rows.loc["0003", "failure"], rows.loc["0003", "score"]) == ("OUT_OF_MEMORY_UNDER_LOAD", -1)
    assert not rows.loc["0003", "feasible"]
    assert rows["score"].isna()["0004"]


def test_measurements_csv_is_cumulative(path: Path) -> None:
    write_tables(path)
    frame = pd.read_csv(path / "measurements.csv", dtype={"trial_id": str})
    contract = ["trial_id", "rung", "level", "load_kind", "requests", "errors", "feasible", "slo_met"]
    assert frame.columns.tolist()[:8] == contract
    rows = frame[frame.trial_id == "0001"]
    assert rows["level"].tolist() == [1, 4, 1, 4]
    assert rows["requests"].tolist() == [12, 48, 24, 96]
    assert rows["ttft_p90_ms"].tolist() == pytest.approx([100, 200, 100, 200])
    late = frame[(frame.trial_id == "0005") & (frame.rung == 1)]
    assert late["slo_met"].tolist() == [True, False]
    assert late["feasible"].tolist() == [True, True]


def test_the_front_is_over_load_points_of_completed_trials(path: Path) -> None:
    """Stopped 0002 would dominate all: it is not on the front; 0000 is dominated; confirmations don't count."""
    write_tables(path)
    frame = pd.read_csv(path / "pareto.csv", dtype={"trial_id": str})
    assert frame.columns.tolist()[:2] == ["trial_id", "level"]
    found = {(row.trial_id, row.level): (row.throughput, row.ttft_p90) for row in frame.itertuples()}
    assert set(found) == {("0001", 1), ("0001", 4), ("0005", 4)}
    assert found["0001", 4] == pytest.approx((32, 200))


def test_summary(path: Path) -> None:
    write_tables(path)
    summary = json.loads((path / "summary.json").read_text())
    assert (summary["name"], summary["status"], summary["objective"]) == ("known", "completed", "throughput")
    assert summary["stop_reason"] == "all trials ended"
    assert summary["trials"] == {"total": 6, "completed": 3, "stopped": 1, "failed": 2, "running": 0}
    best = summary["best"]
    assert (best["trial_id"], best["level"], best["slo_met"]) == ("0001", 4, True)
    assert best["config"]["n"] == 1
    assert best["score"] == pytest.approx(32)
    assert best["metrics"]["ttft_p90_ms"] == pytest.approx(200)
    assert summary["baseline"]["trial_id"] == "0000"
    assert summary["closest"] is None
    improvement = summary["improvement"]
    assert improvement["metric"] == "output_tokens_per_s"
    assert improvement["ratio"] == pytest.approx(8.02 / 4, rel=1e-4)
    low, high = improvement["ci95"]
    assert 1.99 < low < 8.02 / 4 < high < 2.03
    assert improvement["recommended"] is True
    # 12 trials of 2 GPUs and 3 cores for 20 s each, 2 of them failed
    assert summary["gpu_seconds"] == {"reserved": 480, "loading": 120, "measuring": 240, "failed": 80}
    assert summary["cpu_seconds"]["reserved"] == 720
    by_use = {
        "starting": 40,
        "warming_up": 0,
        "measuring": 80,
        "reference": 0,
        "confirming": 240,
        "failed": 80,
        "idle": 40,
    }
    assert summary["gpu_seconds_by_use"] == by_use
    assert sum(summary["cpu_seconds_by_use"].values()) == 720
    (saved,) = summary["saved"]  # the stopped trial's second rung, which took the others as long as their first: 3 s
    assert (saved["lever"], saved["count"], saved["gpu_seconds"], saved["cpu_seconds"]) == (
        "trials_stopped_early",
        1,
        0,
        0,
    )


def test_rank_and_points(path: Path) -> None:
    results = load_results(path)
    assert [(p.trial_id, p.level) for p in results.ranked()] == [("0001", 4), ("0000", 4), ("0005", 1)]
    failed = results.point_of("0003")
    assert failed is not None
    assert not failed.feasible
    assert "OUT_OF_MEMORY_UNDER_LOAD" in failed.reason
    assert results.point_of("0099") is None


def test_rescore_judges_the_kept_requests_anew(path: Path) -> None:
    results = load_results(path)
    strict = rescore(results, Slo.model_validate({"ttft": {"p90": {"threshold_ms": 150}}}))
    assert strict.best is not None
    assert (strict.best.trial_id, strict.best.level) == ("0001", 1)
    assert strict.best.metrics["goodput_per_s"] == pytest.approx(10 / 11)
    loose = rescore(results, Slo.model_validate({"ttft": {"p90": {"threshold_ms": 1000}}}))
    assert loose.best is not None
    assert (loose.best.trial_id, loose.best.level, loose.best.slo_met) == ("0005", 4, True)
    same = rescore(results, results.study.slo)
    pd.testing.assert_frame_equal(same.measurements, results.measurements)
    pd.testing.assert_frame_equal(same.trials, results.trials)


def test_a_level_that_was_not_measured_still_counts_against_latency(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "o", make_study(objective="e2e_mean"))
    writer.trial("0000", [{ONE: (0.1, 10.0)}], phase=Phase.BASELINE)  # nothing at concurrency 4
    results = load_results(writer.end())
    assert rescore(results, results.study.slo).best is None


def test_rescore_says_what_is_closest(path: Path) -> None:
    none = rescore(load_results(path), Slo.model_validate({"ttft": {"p90": {"threshold_ms": 90}}}))
    assert none.best is not None
    assert not none.best.slo_met
    assert none.closest is not None
    assert none.closest.violations[0].ratio == pytest.approx(1 / 9)
    assert none.summary["closest"]["violations"][0]["metric"] == "ttft_p90_ms"


def test_compare_lays_studies_side_by_side(path: Path, tmp_path: Path) -> None:
    writer = Writer(tmp_path / "empty", make_study(name="empty"))
    frame = compare([load_results(path), load_results(writer.end())])
    assert frame["study"].tolist() == ["known", "empty"]
    assert frame["best_trial"].tolist()[0] == "0001"
    assert frame["trials"].tolist() == [6, 0]


def test_an_empty_study_has_empty_tables(tmp_path: Path) -> None:
    path = Writer(tmp_path / "out", make_study()).end()
    results = write_tables(path)
    assert (len(results.trials), len(results.measurements), len(results.pareto), len(results.rungs)) == (0, 0, 0, 0)
    summary = json.loads((path / "summary.json").read_text())
    assert (summary["best"], summary["baseline"], summary["improvement"], summary["closest"]) == (None,) * 4


def test_a_running_study_can_be_read(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "out", make_study())
    writer.trial("0000", [GOOD], state=TrialState.RUNNING, phase=Phase.BASELINE)
    results = load_results(tmp_path / "out")
    assert (results.status, results.best) == (StudyStatus.RUNNING, None)
    assert results.summary["trials"]["running"] == 1
    assert results.trials["gpu_seconds"].tolist() == [20]
    assert results.baseline is not None
    assert results.baseline.metrics["output_tokens_per_s"] == pytest.approx(32)


@pytest.mark.parametrize("make", [False, True])
def test_a_folder_without_results_is_told(tmp_path: Path, make: bool) -> None:
    if make:
        OutputFolder(tmp_path).prepare(make_study(), "s1")
    with pytest.raises(FolderError):
        load_results(tmp_path)


def confirmed(path: Path, best: Sequence[float], default: Sequence[float], **changes: Any) -> dict[str, Any]:
    """The improvement, by the earlier rule, when confirmation rounds have these tokens/s at concurrency 1."""
    writer = Writer(path, make_study(slo={}, search={"finalists": None}, **changes))
    writer.trial("0000", [{ONE: (0.01, 10.0)}], phase=Phase.BASELINE)
    writer.trial("0001", [{ONE: (0.01, 12.0)}])
    for trial_id, speeds in (("0001", best), ("0000", default)):
        for round_, speed in enumerate(speeds, start=1):
            writer.trial(f"{trial_id}-c{round_}", [{ONE: (0.01, speed)}], phase=Phase.CONFIRM)
    found: dict[str, Any] = load_results(writer.end()).summary["improvement"]
    return found


def test_a_gain_within_the_noise_is_not_recommended(tmp_path: Path) -> None:
    found = confirmed(tmp_path / "o", [12, 9, 11], [10, 10, 10])
    # log ratios 0.18232, −0.10536, 0.09531: mean 0.05742, standard error 0.08519, t(2) = 4.3027
    assert found["ratio"] == pytest.approx(math.exp(0.05742), rel=1e-3)
    assert found["ci95"] == pytest.approx([math.exp(0.05742 - 0.36655), math.exp(0.05742 + 0.36655)], rel=1e-2)
    assert found["recommended"] is False


def test_rounds_are_paired(tmp_path: Path) -> None:
    """Both are slow and fast together, so that the ratio is sure though the values are not."""
    found = confirmed(tmp_path / "o", [12, 24, 6], [10, 20, 5])
    assert found["ratio"] == pytest.approx(1.2, rel=1e-3)
    assert found["recommended"] is True


@pytest.mark.parametrize(("best", "default"), [([], []), ([12], [10]), ([12, 12], [10])])
def test_fewer_than_two_rounds_recommend_nothing(tmp_path: Path, best: list[float], default: list[float]) -> None:
    found = confirmed(tmp_path / "o", best, default)
    assert found["ratio"] == pytest.approx(1.2, rel=1e-3)
    assert (found["ci95"], found["recommended"]) == (None, False)


def test_where_less_is_better_a_ratio_below_one_is_the_gain(tmp_path: Path) -> None:
    found = confirmed(tmp_path / "o", [12, 12.1], [10, 10.1], objective="e2e_mean")
    assert found["metric"] == "e2e_mean_ms"
    assert found["ratio"] == pytest.approx(1 / 1.2, rel=1e-2)
    assert found["recommended"] is True


def test_the_default_is_no_improvement_on_itself(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "o", make_study())
    writer.trial("0000", [GOOD], phase=Phase.BASELINE)
    writer.trial("0001", [SLOW])
    found = load_results(writer.end()).summary["improvement"]
    assert (found["ratio"], found["ci95"], found["recommended"]) == (1.0, None, False)


def test_keeping_the_slos_beats_a_faster_default_that_does_not(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "o", make_study())
    over = {ONE: (0.5, 20.0), FOUR: (0.5, 19.0)}
    writer.trial("0000", [over], phase=Phase.BASELINE)
    writer.trial("0001", [GOOD])
    for n in (1, 2):
        writer.trial(f"0000-c{n}", [over], phase=Phase.CONFIRM)
        writer.trial(f"0001-c{n}", [GOOD], phase=Phase.CONFIRM)
    found = load_results(writer.end()).summary["improvement"]
    assert found["ratio"] < 1
    assert found["recommended"] is True
    assert "meets the SLOs" in found["reason"]
