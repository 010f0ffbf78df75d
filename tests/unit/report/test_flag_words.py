"""What each changed setting is worth, in words."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from autotuner.report.console import print_summary
from autotuner.report.facts.flag_words import NOT_KNOWN, worth_text
from autotuner.report.facts.summary_facts import config_rows
from autotuner.report.html import render_report
from autotuner.results import StudyResults
from autotuner.results.worth import FlagBelief, FlagBeliefs, FlagWorth, Source
from tests.known_results import Known


def worth(ratio: float | None, ci95: tuple[float, float] | None, meets: float | None = 1.0) -> FlagWorth:
    return FlagWorth("f", 1, 2, ratio, ci95, None if ratio is None else Source.SURROGATE, meets)


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        (worth(1.12, (1.08, 1.17)), "+12 % (+8.0 % to +17 %), by the surrogate"),
        (replace(worth(0.98, (0.91, 1.05), 0.2), source=Source.RUNS), "−2.0 % (−9.0 % to +5.0 %), measured"),
        (replace(worth(1.5, None), source=Source.RUNS), "+50 %, measured"),
        (
            worth(1.0, (0.95, 1.1), 0.6),
            "+0.0 % (−5.0 % to +10 %), by the surrogate; the SLOs hold without it with 60 %",
        ),
        (worth(None, None, 0.01), "the SLOs hardly hold without it"),
        (worth(None, None, None), NOT_KNOWN),
        (worth(None, None, 0.99), NOT_KNOWN),
    ],
)
def test_a_worth_in_words(flag: FlagWorth, told: str) -> None:
    assert worth_text(flag).replace("\N{NO-BREAK SPACE}", " ") == told


def results(slo_ms: float = 1000.0) -> StudyResults:
    slo = {"ttft": {"p90": {"threshold_ms": slo_ms}}}
    known = Known({"objective": "ttft_p90", "slo": slo, "search": {"confirm": 0}})
    known.trial("0000", {level: {"ttft_p90_ms": 200.0} for level in (1.0, 2.0)})
    best = {level: {"ttft_p90_ms": 100.0} for level in (1.0, 2.0)}
    known.trial("0001", best, config={"batch-size": 256, "ubatch-size": 512})
    beliefs = FlagBeliefs("0001", (FlagBelief("batch-size", {}, 0.5, 0.4, 0.625, 1.0),))
    return replace(known.results(), flag_beliefs=beliefs)


def test_it_stands_beside_the_setting_in_report_and_terminal() -> None:
    told = "−50 % (−60 % to −38 %), by the surrogate"
    rows = {row.name: row.worth.replace("\N{NO-BREAK SPACE}", " ") for row in config_rows(results())}
    assert rows == {"batch-size": told, "ubatch-size": ""}
    page = render_report(results()).replace("\N{NO-BREAK SPACE}", " ")
    assert f"<td>{told}</td>" in page
    assert "<th>worth (95 % interval)</th>" in page
    console = Console(file=io.StringIO(), width=200)
    print_summary(results(), console)
    assert isinstance(console.file, io.StringIO)
    assert told in console.file.getvalue().replace("\N{NO-BREAK SPACE}", " ")


def test_what_only_came_closest_has_no_worth() -> None:
    assert not any(row.worth for row in config_rows(results(slo_ms=10.0)))
    assert "worth (95" not in render_report(results(slo_ms=10.0))
