"""The report's words, workbook and closing table, from real output folders."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from rich.console import Console

from autotuner.errors import MissingExtraError
from autotuner.metrics import LoadKind, LoadLevel, PointRun, RequestRecord, Telemetry, TelemetrySample
from autotuner.report import print_summary, write_report, write_workbook
from autotuner.report.facts.verdict import Tone, verdict
from autotuner.results.preferred import find_preferred
from autotuner.results.result import StudyResults, load_results
from autotuner.results.storage.telemetry_file import telemetry_file_name, write_telemetry
from benchmarks import synthetic_study
from benchmarks.synthetic_study import Shape, make_study, write_folder


def results(folder: Path, shape: Shape, **changes: Any) -> StudyResults:
    write_folder(folder, make_study(shape, **changes), shape)
    return load_results(folder)


def test_a_proven_gain_is_recommended_with_its_interval(tmp_path: Path) -> None:
    found = verdict(results(tmp_path / "s", Shape(trials=24)))
    assert found.tone is Tone.GOOD
    figure = r"Goodput per server replica \(each at its best load level\) \+\d"
    assert re.search(rf"Recommended: trial \d{{4}} beats the default: {figure}", found.headline)
    assert "95 % interval" in found.headline


def test_without_confirmation_nothing_is_recommended(tmp_path: Path) -> None:
    found = verdict(results(tmp_path / "s", Shape(trials=24, confirm=0)))
    assert found.tone is Tone.NEUTRAL
    assert found.headline.startswith("Not confirmed: ")


def test_a_study_that_meets_no_slo_says_what_it_violates(tmp_path: Path) -> None:
    found = verdict(results(tmp_path / "s", Shape(trials=8), slo={"ttft": {"p90": {"threshold_ms": 1}}}))
    assert found.tone is Tone.BAD
    assert found.headline.startswith("No Config meets the SLOs. Trial ")
    assert "ttft_p90_ms" in found.details[0]
    assert "over 1 " in found.details[0]


def test_a_study_with_nothing_measured_says_so(tmp_path: Path) -> None:
    found = verdict(results(tmp_path / "s", Shape(trials=0, confirm=0), search={}))
    assert found.headline == "No trial has started."


def test_the_report_is_one_file_without_addresses_to_load_from(tmp_path: Path) -> None:
    found = results(tmp_path / "s", Shape(trials=12, failing=0.5))
    text = write_report(found, tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    page = text[: text.index("<script>")]
    assert not re.search(r"""(src|href)=["'](?!data:)""", page)
    assert "default-src 'none'" in page
    assert text.count("plotly.js v") == 1
    assert "failed to allocate buffer" in text  # the end of a failed server's log
    assert "study_id: synthetic-0000" in text
    data = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    assert set(json.loads(data[1])["figures"]) >= {"pareto-user", "pareto-ttft", "rungs", "time"}


def test_of_several_objectives_the_knee_and_what_is_preferred_are_pointed_out(tmp_path: Path) -> None:
    found = results(tmp_path / "s", Shape(trials=24), objective=["throughput", "ttft_p99"])
    knees = found.pareto.set_index("trial_id")["knee"]
    assert knees.sum() == 1
    preferred = find_preferred(found, "ttft=1")
    assert preferred.values["ttft_p99"] == found.pareto[found.pareto["slo_met"]]["ttft_p99"].min()
    text = write_report(found, tmp_path / "r.html", preferred=preferred).read_text(encoding="utf-8")
    assert "of the front" in text
    spots = {
        trace["name"].split(":")[0]: trace["name"].split()[-1]
        for trace in drawn(text)["pareto-objectives"]["data"]
        if trace["marker"]["symbol"] in ("diamond-open", "square-open")
    }
    assert spots == {"knee": knees[knees].index[0], "preferred by ttft_p99=1": preferred.trial_id}


def test_one_objective_leaves_nothing_to_choose_between(tmp_path: Path) -> None:
    text = write_report(results(tmp_path / "s", Shape(trials=8)), tmp_path / "r.html").read_text(encoding="utf-8")
    assert "pareto-objectives" not in drawn(text)


def drawn(text: str) -> dict[str, Any]:
    """The figures of a report."""
    data = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    figures: dict[str, Any] = json.loads(data[1])["figures"]
    return figures


def test_what_the_servers_of_default_and_best_told_is_drawn(tmp_path: Path) -> None:
    found = results(tmp_path / "s", Shape(trials=6))
    assert found.best is not None
    assert found.baseline is not None
    assert "Nothing was told" in write_report(found, tmp_path / "none.html").read_text(encoding="utf-8")
    level = LoadLevel(LoadKind.CONCURRENCY, 16)
    request = RequestRecord(0, False, 0.0, 0.0, 0.1, 4.0, 4.0, 1, 2, 2)
    for trial_id, running in ((found.baseline.trial_id, 7.0), (found.best.trial_id, 9.0)):
        for rung in range(2):
            telemetry = Telemetry(tuple(TelemetrySample(at_s, running=running) for at_s in (-0.5, 0.0, 3.5, 4.5)))
            path = found.folder.telemetry / telemetry_file_name(trial_id, rung)
            write_telemetry(path, trial_id, rung, [PointRun(level, (request,), telemetry=telemetry)])
    text = write_report(found, tmp_path / "told.html").read_text(encoding="utf-8")
    data = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
    assert data is not None
    lines = {trace["name"]: trace for trace in json.loads(data[1])["figures"]["telemetry"]["data"]}
    assert lines["default: running"]["x"] == [0, 3.5, None, 4, 7.5, None]
    assert lines["default: running"]["y"] == [7, 7, None, 7, 7, None]
    assert lines["best: running"]["y"] == [9, 9, None, 9, 9, None]


def test_the_workbook_holds_every_table_and_no_formula(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    default = synthetic_study.default_config
    monkeypatch.setattr(synthetic_study, "default_config", lambda: {**default(), "env.X": '=HYPERLINK("x")\x07'})
    found = results(tmp_path / "s", Shape(trials=12))
    book = openpyxl.load_workbook(write_workbook(found, tmp_path / "report.xlsx"))
    assert book.sheetnames == ["summary", "trials", "rungs", "measurements", "pareto", "failures"]
    for name in ("trials", "rungs", "measurements", "pareto"):
        frame = getattr(found, name)
        assert [cell.value for cell in book[name][1]] == list(frame.columns)
        assert book[name].max_row == len(frame) + 1
    column = [cell.value for cell in book["trials"][1]].index("config.env.X")
    cell = book["trials"][2][column]
    assert cell.data_type == "s"
    assert cell.value == '=HYPERLINK("x")\N{REPLACEMENT CHARACTER}'
    summary = {row[0].value: row[1].value for row in book["summary"].iter_rows()}
    assert summary["trials.total"] == 12
    assert book["failures"].max_row == len(found.failures) + 1


def test_a_workbook_without_openpyxl_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = results(tmp_path / "s", Shape(trials=2))
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingExtraError, match=r"autotuner-llm\[xlsx\]"):
        write_workbook(found, tmp_path / "report.xlsx")


def test_the_closing_table_names_best_default_and_cost(tmp_path: Path) -> None:
    out = io.StringIO()
    found = results(tmp_path / "s", Shape(trials=24))
    print_summary(found, Console(file=out, width=110))
    text = out.getvalue()
    assert found.best is not None
    assert f"trial {found.best.trial_id} beats the default" in text
    assert re.search(r"best\s+default", text)
    assert re.search(rf"parallel\s+{found.best.config['parallel']}\s+1\b", text)
    assert "CPU core time: " in text


def test_rich_markup_in_names_is_shown_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    default = synthetic_study.default_config
    monkeypatch.setattr(synthetic_study, "default_config", lambda: {**default(), "env.X": "[red]x[/red] [/oops]"})
    out = io.StringIO()
    print_summary(results(tmp_path / "s", Shape(trials=3, failing=1.0)), Console(file=out, width=120))
    assert "[red]x[/red] [/oops]" in out.getvalue()
