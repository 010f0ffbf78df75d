"""What the best Config's settings are worth, from a study's own end to its summary; as replayed from a table."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

import autotuner as at
from autotuner.study.model import Study
from tests.integration.interrupted import InterruptAfter
from tests.replay_tables import LEVELS, REQUESTS, e2e_s, requests, row, study, surface, write

PLAINEST = {"batch-size": 512, "ubatch-size": 32, "threads": 1, "keep": 0, "cache-reuse": 0}
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


def idle(folder: Path, **search: Any) -> Study:
    """As ``surface``, with three more parameters that do nothing; the default has their first values."""
    idle = {"threads": [1, 2, 3, 4], "keep": [0, 1, 2, 3], "cache-reuse": [0, 1, 2, 3]}
    sizes = {"batch-size": [64, 128, 256, 512], "ubatch-size": [16, 32], **idle}
    rows = []
    for values in itertools.product(*sizes.values()):
        config, (batch, micro, *_) = dict(zip(sizes, values, strict=True)), values
        for level in LEVELS:
            rows.append(row(config, level, requests=requests(REQUESTS, level, e2e_s(batch, micro, level))))
    default = {**PLAINEST, "batch-size": 64, "ubatch-size": 16}
    stop = {"improvement": 0.9, "patience": 1}
    asked = {**SEARCH, "trials": 30, "seed": 1, "baseline": default, "stop": stop, **search}
    return study(write(folder / "table.jsonl", rows), space={"parameters": sizes}, search=asked)


def ends(result: at.Result) -> tuple[list[str], str]:
    return result.trials.trial_id.to_list(), result.summary["stop_reason"]


def test_settings_that_do_nothing_are_put_back_and_told_and_again_after_a_death(tmp_path: Path) -> None:
    """The search ends when the best is found; it has not measured the best with all that does nothing put back."""
    whole = at.run(idle(tmp_path), out=tmp_path / "whole")
    assert whole.best is not None
    assert whole.best.config == PLAINEST
    assert [flag["parameter"] for flag in whole.summary["flags"]] == ["batch-size", "ubatch-size"]
    (told,) = whole.summary["put_back"]
    assert (told["trial_id"], told["chosen"]) == (whole.best.trial_id, True)
    assert whole.trials.set_index("trial_id").phase[told["trial_id"]] == "put_back"
    assert set(told["settings"]) <= {"threads", "keep", "cache-reuse"}
    line = f"Trial {told['trial_id']} is trial {told['of']} with {', '.join(told['settings'])} put back to the default"
    assert line in (whole.path / "report.html").read_text()
    explored = int(told["trial_id"])
    for after in (explored, explored + 1, explored + 2):  # before it, after it, and within the confirmation
        at.run(idle(tmp_path), out=tmp_path / str(after), observers=[InterruptAfter(after)])
        assert ends(at.resume(tmp_path / str(after))) == ends(whole)


def test_where_it_is_off_and_in_studies_of_before_nothing_is(tmp_path: Path) -> None:
    off = at.run(idle(tmp_path, put_back=False), out=tmp_path / "off")
    at.run(idle(tmp_path), out=tmp_path / "before", observers=[InterruptAfter(3)])
    kept = tmp_path / "before" / "study.yaml"
    lines = kept.read_text().splitlines(keepends=True)
    kept.write_text("".join(line for line in lines if not line.startswith("  put_back:")))
    before = at.resume(tmp_path / "before")
    for result in (off, before):
        assert not (result.trials["phase"] == "put_back").any()
        assert result.summary["put_back"] == []
