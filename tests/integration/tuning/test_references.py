"""Whole replayed studies whose default is measured again beside the search, at one load level."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import autotuner as at
from autotuner.results import OutputFolder, Phase, load_results
from autotuner.servers.replay.table import read_table
from tests.integration.interrupted import InterruptAfter
from tests.replay_tables import REQUESTS, STARTUP_S, e2e_s, study, surface, write

SEARCH = {"algorithm": "grid", "trials": 12, "seed": 0, "confirm": 1, "baseline": {"batch-size": 64, "ubatch-size": 32}}
ORDER = ["0000-r1", "0000-r2", "0000-r3"]


def run(folder: Path, name: str = "out", *, every: int | str = 3, ttft: str = "600ms", **options: Any) -> at.Result:
    """``ttft``: the SLO, which the default keeps at both levels, or at concurrency 1 alone."""
    table = write(folder / "table.jsonl", surface())
    sections = {"fidelity": {"trial_scheduler": "none", "cut": "levels"}, "slo": {"ttft": {"p90": ttft}}}
    return at.run(study(table, **sections, search={**SEARCH, "reference_every": every}), out=folder / name, **options)


def references(result: at.Result) -> list[str]:
    return [t.trial_id for t in load_results(result.path).trial_records if t.phase is Phase.REFERENCE]


def levels(result: at.Result) -> set[tuple[str, float]]:
    frame = result.measurements
    return {(name, level) for name, level in zip(frame.trial_id, frame.level, strict=True) if "-r" in name}


def test_they_are_trials_of_their_own_at_the_level_that_the_default_began_with(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert references(result) == ORDER
    assert levels(result) == {(name, 4) for name in ORDER}
    assert result.summary["trials"]["total"] == 12, "none of search.trials"
    rows = result.trials.set_index("trial_id")
    assert set(rows.loc[ORDER, "phase"]) == {"reference"}
    assert set(rows.loc[ORDER, "config.ubatch-size"]) == {32}
    assert result.best is not None
    assert "-r" not in result.best.trial_id
    used = result.summary["gpu_seconds_by_use"]["reference"]
    assert used == pytest.approx(3 * (STARTUP_S + REQUESTS / 4 * e2e_s(64, 32, 4)))
    _is_no_row_to_replay(result, tmp_path / "tables")
    _is_rescored_by_its_own_level(result)


def _is_no_row_to_replay(result: at.Result, folder: Path) -> None:
    """What was measured at one level alone."""
    (_, table) = result.export("table", folder)
    assert {len(launches) for launches in read_table(table).launches.values()} == {1, 2}, "a trial, and its fresh run"


def _is_rescored_by_its_own_level(result: at.Result) -> None:
    (rung,) = at.rescore(result.path, ["ttft.p90=10s"]).after.rung_records[ORDER[0]]
    assert rung.score.feasible


def test_where_the_default_shows_nothing_at_that_level_they_are_at_its_best_one(tmp_path: Path) -> None:
    """No request of it keeps 400 ms beside three others: its goodput there is 0."""
    assert levels(run(tmp_path, ttft="400ms")) == {(name, 1) for name in ORDER}


def test_there_is_none_where_they_are_off_and_by_default_in_a_small_study(tmp_path: Path) -> None:
    assert references(run(tmp_path, "off", every="off")) == []
    assert references(run(tmp_path, "auto", every="auto")) == []


def test_a_study_that_was_cut_off_goes_on_to_the_same(tmp_path: Path) -> None:
    whole = run(tmp_path, "whole")
    run(tmp_path, "cut", observers=[InterruptAfter(5)])
    resumed = at.resume(tmp_path / "cut")
    assert references(resumed) == references(whole)
    assert resumed.trials.trial_id.to_list() == whole.trials.trial_id.to_list()


def test_a_study_that_began_before_there_were_any_goes_on_without(tmp_path: Path) -> None:
    run(tmp_path, "cut", observers=[InterruptAfter(2)])
    kept = OutputFolder(tmp_path / "cut").study_yaml
    lines = kept.read_text().splitlines(keepends=True)
    kept.write_text("".join(line for line in lines if not line.startswith("  reference_every:")))
    assert references(at.resume(tmp_path / "cut")) == []
