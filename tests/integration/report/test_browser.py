"""report.html in a real browser: it draws, says what it should, and talks to nobody."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from autotuner.report import write_report
from autotuner.results.result import load_results
from benchmarks import synthetic_study
from benchmarks.synthetic_study import Shape, make_study, write_folder
from tests.integration.chromium import Page, open_page

SCRIPT = "</script><script>document.title='pwned'</script>"
HOSTILE = SCRIPT + """<img src=x onerror="document.title='pwned'"> '`%{x} {{7*7}}\n"""
DRAWN = "document.documentElement?.dataset.drawn === 'yes'"
POINTS = "document.querySelectorAll('[data-figure={}] .scatterlayer .trace path.point').length"
TEXT = "document.body.innerText"


def report(folder: Path, shape: Shape, *, dark: bool = False, ask: tuple[str, ...] = (), **changes: Any) -> Page:
    write_folder(folder, make_study(shape, **changes), shape)
    file = write_report(load_results(folder), folder / "report.html")
    page = open_page(file, DRAWN, [TEXT, *ask], dark=dark)
    assert page.requests == []
    assert page.console == []
    return page


def test_a_whole_study_is_drawn(tmp_path: Path) -> None:
    figures = ("pareto-user", "pareto-ttft", "confirmation", "rungs", "parallel")
    bars = "document.querySelectorAll('[data-figure={}] .barlayer .point').length"
    ask = (
        *(POINTS.format(key) for key in figures),
        *(bars.format(key) for key in ("importance", "time")),
        "Array.from(document.querySelectorAll('[data-figure=pareto-user] .legendtext')).map((t) => t.textContent)",
        "document.querySelectorAll('#section-trials tbody tr').length",
    )
    page = report(tmp_path / "s", Shape(trials=24), ask=ask)
    text, *rest = page.answers
    assert all(count > 0 for count in rest[:7]), rest
    assert "Pareto front" in rest[7]
    assert rest[8] == 24 + 6
    assert "Recommended: trial" in text
    assert "server replica" in text


def test_a_table_sorts_by_number_when_its_heading_is_clicked(tmp_path: Path) -> None:
    click = """(() => {
      const table = document.querySelector('table.sortable');
      const heads = Array.from(table.tHead.rows[0].cells);
      const column = heads.findIndex((h) => h.textContent === 'ttft_p90_ms');
      heads[column].querySelector('button').click();
      return Array.from(table.tBodies[0].rows).map((r) => r.cells[column].dataset.order).filter((v) => v !== undefined);
    })()"""
    page = report(tmp_path / "s", Shape(trials=16), ask=(click,))
    values = [float(v) for v in page.answers[1]]
    assert len(values) > 5
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("shape", "changes", "says"),
    [
        (Shape(trials=1, confirm=0), {}, "Only the default was measured: nothing was compared with it"),
        (Shape(trials=6, infeasible=1.0, stopped=0), {}, "No Config is feasible"),
        (Shape(trials=8), {"slo": {"ttft": {"p90": {"threshold_ms": 1}}}}, "No Config meets the SLOs"),
        (Shape(trials=6, failing=1.0, confirm=0), {}, "failed to allocate"),
        (Shape(trials=9, gpus=2), {"slo": {}, "objective": "ttft_p90"}, "output tokens/s per GPU"),
    ],
    ids=["one-trial", "nothing-feasible", "no-slo-met", "all-failed", "gpus-and-no-slo"],
)
def test_little_or_bad_data_is_told_as_it_is(tmp_path: Path, shape: Shape, changes: dict[str, Any], says: str) -> None:
    page = report(tmp_path / "s", shape, dark=True, **changes)
    assert says in page.answers[0]
    assert not re.search(r"\bnan\b|undefined|\bNone\b\s*\bNone\b", page.answers[0])


def test_other_peoples_text_stays_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    default, draw = synthetic_study.default_config, synthetic_study.draw_config
    monkeypatch.setattr(synthetic_study, "default_config", lambda: {**default(), HOSTILE: HOSTILE})
    monkeypatch.setattr(
        synthetic_study, "draw_config", lambda rng: {**draw(rng), HOSTILE: [HOSTILE, int(rng.integers(3))]}
    )
    page = report(
        tmp_path / "s",
        Shape(trials=16),
        model={"id": HOSTILE},
        ask=("document.title", "document.querySelectorAll('img[src=x]').length", POINTS.format("parallel")),
    )
    text, title, images, points = page.answers
    assert title == "synthetic · Autotuner"
    assert images == 0
    assert points > 0
    assert SCRIPT in text
