"""What the best Config's settings are worth, from a study's own end to its summary; as replayed from a table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import autotuner as at
from autotuner.study.model import Study
from tests.replay_tables import study, surface, write

SEARCH = {"trials": 12, "confirm": 1, "baseline": {"batch-size": 64, "ubatch-size": 16}}


def given(folder: Path, **search: Any) -> Study:
    return study(write(folder / "table.jsonl", surface()), search={**SEARCH, **search})


def test_each_setting_has_its_worth_which_holds_the_truth(tmp_path: Path) -> None:
    """A batch of 512 is 8 times as fast as one of 64, and lets the load of 4 meet its SLO, which has twice the goodput;
    a micro-batch of 32 is half as fast again as one of 16."""
    result = at.run(given(tmp_path), out=tmp_path / "out")
    batch, micro = result.summary["flags"]
    assert (batch["parameter"], batch["value"], batch["default"]) == ("batch-size", 512, 64)
    assert (micro["parameter"], micro["value"], micro["default"]) == ("ubatch-size", 32, 16)
    for flag, truth in ((batch, 16.0), (micro, 1.5)):
        assert flag["source"] == "surrogate"
        assert flag["ci95"][0] < truth < flag["ci95"][1]
        assert flag["ratio"] == pytest.approx(truth, rel=0.1)
    kept = json.loads((result.path / "flags.json").read_text())
    assert kept["trial_id"] == result.summary["best"]["trial_id"]
    assert [flag["without"] for flag in kept["flags"]] == [
        {"batch-size": 64, "ubatch-size": 32},
        {"batch-size": 512, "ubatch-size": 16},
    ]


def test_of_a_searcher_without_a_surrogate_nothing_is_known(tmp_path: Path) -> None:
    result = at.run(given(tmp_path, algorithm="grid"), out=tmp_path / "out")
    assert [(flag["ratio"], flag["source"]) for flag in result.summary["flags"]] == [(None, None)] * 2


def test_what_is_believed_is_not_told_under_other_slos(tmp_path: Path) -> None:
    result = at.run(given(tmp_path), out=tmp_path / "out")
    (tmp_path / "slo.yaml").write_text("ttft: {p90: 300ms}")
    after = at.rescore(result.path, tmp_path / "slo.yaml").after
    assert [flag.ratio for flag in after.flag_worths] == [None, None]
