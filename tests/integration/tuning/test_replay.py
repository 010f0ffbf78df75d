"""Whole studies replayed from tables: in this process and under Ray, in virtual time, and said to be replayed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import autotuner as at
from autotuner.errors import InputError
from autotuner.results import OutputFolder, Phase, load_results
from autotuner.servers.replay.lookup import find_lookup
from autotuner.servers.replay.table import read_table
from autotuner.servers.replay.truth import true_score
from autotuner.study.earlier_rules import EARLIER
from autotuner.study.model import Study
from benchmarks.raylets import NodeKind, raylets
from tests.integration.interrupted import InterruptAfter
from tests.replay_tables import BATCHES, MICRO, REQUESTS, STARTUP_S, e2e_s, row, study, surface, write

FULL = {"trial_scheduler": "none", "rungs": 1}
SEARCH = {"trials": 12, "seed": 0, "confirm": 1, "baseline": {"batch-size": 64, "ubatch-size": 32}}


@dataclass(frozen=True)
class Place:
    """Where tables are written and studies run."""

    folder: Path

    def study(self, rows: list[dict[str, Any]] | None = None, **sections: Any) -> Study:
        return study(write(self.folder / "table.jsonl", surface() if rows is None else rows), **sections)

    def run(self, study: Study, name: str = "out", **options: Any) -> at.Result:
        return at.run(study, out=self.folder / name, **options)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def trials(result: at.Result) -> list[tuple[str, str, str, int]]:
    columns = ["trial_id", "state", "phase", "rung"]
    return [tuple(values) for values in result.trials[columns].fillna(-1).to_numpy().tolist()]


def full_trial_s(batch: int, micro: int) -> float:
    """Seconds that a trial at full fidelity reserves its GPU for."""
    return STARTUP_S + sum(REQUESTS / level * e2e_s(batch, micro, level) for level in (1, 4))


def test_a_search_finds_what_the_table_says_is_best(place: Place) -> None:
    given = place.study()
    result = place.run(given)
    lookup = find_lookup(given)
    truths = {key: true_score(given, launches).score for key, launches in lookup.table.launches.items()}
    best = max(truths, key=lambda key: truths[key].score if truths[key].feasible else 0.0)
    assert result.best is not None
    assert result.best.config == lookup.table.configs[best] == {"batch-size": 512, "ubatch-size": 32}
    assert result.best.score == pytest.approx(truths[best].score)


def test_the_same_seed_tries_the_same(place: Place) -> None:
    given = place.study(surface(repeats=3))
    assert trials(place.run(given, "one")) == trials(place.run(given, "two"))


@pytest.mark.parametrize("algorithm", ["auto", "tpe", "random", "hyperopt", "nsga2"])
@pytest.mark.parametrize("trial_scheduler", ["asha", "median", "none"])
def test_every_searcher_and_trial_scheduler_goes_through_it(place: Place, algorithm: str, trial_scheduler: str) -> None:
    search = {**SEARCH, "algorithm": algorithm, "trials": 8}
    result = place.run(place.study(search=search, fidelity={"trial_scheduler": trial_scheduler, "rungs": 2}))
    assert result.summary["trials"]["total"] == 8
    assert result.summary["status"] == "completed"


def test_asha_stops_trials_that_are_worse(place: Place) -> None:
    workload = {"scenario": "D(100,10)", "load": {"concurrency": [1]}, "requests": {"min": REQUESTS}}
    search = {**SEARCH, "stop": "off"}
    fidelity = {"trial_scheduler": "asha", "rungs": 3, "eta": 2}
    result = place.run(place.study(workload=workload, search=search, fidelity=fidelity))
    counts = result.summary["trials"]
    assert counts["stopped"] > 0
    saved = {lever["lever"]: lever for lever in result.summary["saved"]}["trials_stopped_early"]
    assert saved["count"] == counts["stopped"]
    assert 0 < saved["gpu_seconds"] < counts["stopped"] * max(full_trial_s(b, m) for b in BATCHES for m in MICRO)
    by_use = result.summary["gpu_seconds_by_use"]
    assert sum(by_use.values()) == pytest.approx(result.summary["gpu_seconds"]["reserved"], rel=1e-12)
    confirmed = [trial for trial in load_results(result.path).trial_records if trial.phase is Phase.CONFIRM]
    assert len(confirmed) > 0
    assert by_use["confirming"] == pytest.approx(sum(trial.gpu_seconds for trial in confirmed))
    assert counts["completed"] + counts["stopped"] + counts["failed"] == 12


def test_gpu_seconds_are_those_that_were_recorded(place: Place) -> None:
    result = place.run(place.study(search={**SEARCH, "algorithm": "grid", "confirm": 0}, fidelity=FULL))
    good = [(b, m) for b in BATCHES for m in MICRO if (b, m) != (512, 64)]
    expected = STARTUP_S + sum(full_trial_s(*config) for config in good)
    assert result.summary["gpu_seconds"]["reserved"] == pytest.approx(expected)
    assert result.summary["gpu_seconds"]["failed"] == pytest.approx(STARTUP_S)
    wall_s = result.summary["spent"]["wall_clock_s"]
    assert wall_s == pytest.approx(expected), "one trial after another"
    by_use = result.summary["gpu_seconds_by_use"]
    assert sum(by_use.values()) == pytest.approx(expected, rel=1e-12)
    assert by_use["starting"] == pytest.approx(STARTUP_S * len(good))
    assert by_use["measuring"] == pytest.approx(expected - STARTUP_S * (len(good) + 1))
    assert by_use["failed"] == pytest.approx(STARTUP_S)
    assert by_use["confirming"] == by_use["idle"] == by_use["warming_up"] == 0
    assert result.summary["saved"] == [], "nothing was stopped and no level skipped"


def test_trials_run_beside_one_another_in_virtual_time(place: Place) -> None:
    search = {**SEARCH, "algorithm": "grid", "confirm": 0, "max_concurrent_trials": 4}
    result = place.run(place.study(search=search, fidelity=FULL))
    spent = result.summary["spent"]["wall_clock_s"]
    reserved = result.summary["gpu_seconds"]["reserved"]
    assert reserved / 4 <= spent < reserved / 2
    began = result.trials["started_at"].sort_values().to_list()
    assert len(set(began[:4])) == 1, "four at once"


def test_failures_are_replayed(place: Place) -> None:
    rows = [
        row({"batch-size": 64, "ubatch-size": 16}, None, failure="STARTUP_TIMEOUT"),
        row({"batch-size": 64, "ubatch-size": 32}, 1),
        row({"batch-size": 64, "ubatch-size": 32}, 4),
        row({"batch-size": 64, "ubatch-size": 64}, 1),
        row({"batch-size": 64, "ubatch-size": 64}, 4, failure="CRASH"),
    ]
    space = {"parameters": {"batch-size": [64], "ubatch-size": list(MICRO)}}
    result = place.run(place.study(rows, space=space, search={**SEARCH, "confirm": 0}, fidelity=FULL))
    by_config = {config["ubatch-size"]: record for config, record in _records(result)}
    assert by_config[16].failure == "STARTUP_TIMEOUT"
    assert by_config[32].failure is None
    results = load_results(result.path)
    failed_levels = {(f.trial_id, f.failure, f.level) for f in results.failures if f.level}
    assert failed_levels == {(by_config[64].trial_id, "CRASH", "concurrency 4")}


def _records(result: at.Result) -> list[tuple[dict[str, Any], Any]]:
    return [(dict(record.config), record) for record in load_results(result.path).trial_records]


def test_a_budget_of_gpu_hours_is_one_of_virtual_time(place: Place) -> None:
    result = place.run(place.study(search={**SEARCH, "confirm": 0}, budget={"gpu_hours": 0.1}, fidelity=FULL))
    assert 360 <= result.summary["gpu_seconds"]["reserved"] < 360 + full_trial_s(64, 16)
    assert result.summary["trials"]["total"] < 12


def test_an_interrupted_replay_goes_on_where_it_was(place: Place) -> None:
    given = place.study(surface(repeats=2))
    whole = place.run(given, "whole")
    place.run(given, "cut", observers=[InterruptAfter(5)])
    cut = at.load_result(place.folder / "cut")
    assert cut.summary["status"] == "interrupted"
    before = _rungs(cut)
    resumed = at.resume(place.folder / "cut")
    assert resumed.summary["status"] == "completed"
    assert resumed.summary["trials"]["total"] == whole.summary["trials"]["total"]
    assert {name: values for name, values in _rungs(resumed).items() if name in before} == before
    assert resumed.summary["spent"]["wall_clock_s"] >= cut.summary["spent"]["wall_clock_s"]


def test_a_study_of_an_earlier_version_goes_on_by_the_rules_it_was_begun_with(place: Place) -> None:
    search = {**SEARCH, "algorithm": "random", "trials": 8}
    place.run(place.study(search=search), "cut", observers=[InterruptAfter(3)])
    kept = OutputFolder(place.folder / "cut")
    lines = kept.study_yaml.read_text().splitlines(keepends=True)
    kept.study_yaml.write_text("".join(line for line in lines if not line.startswith("  algorithm:")))
    resumed = at.resume(kept.path)
    assert kept.load_study().search.algorithm == EARLIER["search.algorithm"] != "random"
    assert resumed.summary["status"] == "completed"
    assert resumed.summary["trials"]["total"] == 8


def _rungs(result: at.Result) -> dict[tuple[str, int, str], float]:
    frame = result.measurements
    return {
        (t, r, level): v
        for t, r, level, v in zip(frame.trial_id, frame.rung, frame.level, frame.ttft_mean_ms, strict=True)
    }


def test_metrics_alone_are_enough_but_can_not_be_rescored(place: Place) -> None:
    rows = [
        row({"batch-size": b, "ubatch-size": m}, level, goodput_per_s=b / m, requests_per_s=1.0, ttft_p90_ms=100.0)
        for b in BATCHES
        for m in MICRO
        for level in (1, 4)
    ]
    result = place.run(place.study(rows))
    assert result.best is not None
    assert result.best.config == {"batch-size": 512, "ubatch-size": 16}
    with pytest.raises(InputError, match="no raw requests"):
        at.rescore(result.path, ["ttft.p90=50ms"])


def test_a_replayed_study_says_that_it_is_one(place: Place) -> None:
    result = place.run(place.study())
    assert result.summary["replayed_from"] == "table.jsonl"
    assert "replayed from recorded measurements" in at.status(result.path).replayed
    report = OutputFolder(result.path).report.read_text(encoding="utf-8")
    assert "Replayed. " in report
    assert "no server ran, time is virtual" in report
    (script,) = (place.folder / "out" / "deploy" / "top1").glob("serve.sh")
    assert "replayed from recorded measurements" in script.read_text(encoding="utf-8")


def test_a_study_that_measures_says_nothing_of_it(tmp_path: Path) -> None:
    from autotuner.results.replayed import replayed_text
    from tests.tuning_parts import study as measured

    assert replayed_text(measured()) == ""


def test_an_exported_table_replays_what_was_measured(place: Place) -> None:
    search = {**SEARCH, "algorithm": "grid", "confirm": 1}
    first = place.run(place.study(search=search, fidelity=FULL), "first")
    (_, table) = first.export("table", place.folder / "tables")
    exported = read_table(table)
    assert {len(launches) for launches in exported.launches.values()} == {1, 2}, "confirmed ones twice"
    again = place.run(study(table, search=search, fidelity=FULL), "again")
    assert _rungs(again) == pytest.approx(_rungs(first))
    assert trials(again) == trials(first)


def test_under_ray_it_is_the_same_study(place: Place) -> None:
    search = {**SEARCH, "algorithm": "grid", "confirm": 1}
    given = place.study(search=search, fidelity={"trial_scheduler": "asha", "rungs": 2, "eta": 2})
    here = place.run(given, "here")
    with raylets([NodeKind(0, cpus=4)]) as cluster:
        there = place.run(given, "there", address=cluster.address)
    assert trials(there) == trials(here)
    assert _rungs(there) == pytest.approx(_rungs(here))
    for key in ("reserved", "loading", "measuring", "failed"):
        assert there.summary["gpu_seconds"][key] == pytest.approx(here.summary["gpu_seconds"][key]), key
    assert there.summary["spent"]["wall_clock_s"] == pytest.approx(here.summary["spent"]["wall_clock_s"], abs=60)
