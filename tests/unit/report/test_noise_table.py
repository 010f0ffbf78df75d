"""By how much runs of one Config differ, in the report's table and the verdict's words."""

from __future__ import annotations

from autotuner.report.facts.noise_table import noise_table
from autotuner.report.facts.verdict import verdict
from autotuner.report.html import render_report
from tests.known_results import Known

TITLE = "How much the same Config differs from run to run"


def known(*fresh: float) -> Known:
    """The default, a better Config, and rounds of it: values of its fresh runs."""
    made = Known({"objective": "ttft_p90"})
    made.trial("0000", {1: {"ttft_p90_ms": 200.0}})
    made.trial("0001", {1: {"ttft_p90_ms": 100.0}})
    for number, value in enumerate(fresh, 1):
        made.trial(f"0000-c{number}", {1: {"ttft_p90_ms": 200.0}})
        made.trial(f"0001-c{number}", {1: {"ttft_p90_ms": value}})
    return made


def test_without_a_repeat_there_is_neither_table_nor_line() -> None:
    results = known().results()
    assert noise_table(results) is None
    assert not any("run to run" in line for line in verdict(results).details)
    assert TITLE not in render_report(results)


def test_each_metric_has_a_row_with_what_it_rests_on() -> None:
    """Two pairs of runs, of which one differs by log 1.1: log(1.1) / 2 = 4.766 %."""
    results = known(110.0).results()
    table = noise_table(results)
    assert table is not None
    assert table.rows == (("TTFT p90 (ms)", "4.766\N{NO-BREAK SPACE}%", "2", "2", "4"),)
    assert (
        "From run to run of one Config, metric by metric (standard deviation of one run): "
        "TTFT p90 (ms) 4.766\N{NO-BREAK SPACE}%."
    ) in verdict(results).details


def test_the_report_has_the_table_beside_the_confirmation() -> None:
    page = render_report(known(110.0).results())
    confirmation = page[page.index('id="section-confirmation"') :]
    assert TITLE in confirmation[: confirmation.index("</section>")]


def test_equal_runs_differ_by_nothing() -> None:
    table = noise_table(known(100.0 * (1 + 1e-15)).results())
    assert table is not None
    assert table.rows[0][1] == "0\N{NO-BREAK SPACE}%"
