"""What the default showed when it was measured again, in the report's table and the verdict's words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autotuner.report.facts.drift_lines import references_table
from autotuner.report.facts.verdict import verdict
from autotuner.report.html import render_report
from autotuner.results import Phase
from tests.known_results import Known

TITLE = "The default, measured again while the search went on"
SLOWER = {"0000-r1": 101.0, "0000-r2": 130.0, "0000-r2-2": 131.0, "0000-r2-3": 129.0}
STEADY = {"0000-r1": 101.0, "0000-r2": 99.0}


def known(references: dict[str, float]) -> Known:
    """The default at 100 ms, and what its references came to, an hour after one another."""
    made = Known({"objective": "ttft_p90", "search": {"trials": 9, "reference_every": 3}})
    for hours, (trial_id, value) in enumerate({"0000": 100.0, **references}.items()):
        phase = Phase.REFERENCE if "-r" in trial_id else Phase.BASELINE
        levels = (1.0, 2.0) if phase is Phase.BASELINE else (2.0,)
        made.trial(trial_id, {level: {"ttft_p90_ms": value} for level in levels}, phase=phase, node="host/ab12")
        (rung,) = made.rungs[trial_id]
        made.rungs[trial_id] = (replace(rung, ended_at=1.7e9 + 3600 * hours),)
    return made


def told(references: dict[str, float]) -> list[str]:
    return [line for line in verdict(known(references).results()).details if "did not stay" in line]


def test_a_shift_is_told_with_its_size_and_time() -> None:
    """√(100 × 101) to ∛(130 × 131 × 129): × 1.2935."""
    (line,) = told(SLOWER)
    assert line.startswith("The machine did not stay as it was: on host the default's Time to first token, p90")
    assert "changed by +29\N{NO-BREAK SPACE}% (95 % interval +" in line
    assert "(trial 0000-r2). What the search made of scores, and the choice of the best, allow for that" in line
    (shift,) = known(SLOWER).results().summary["shifts"]
    assert shift["ratio"] == pytest.approx((130 * 131 * 129) ** (1 / 3) / (100 * 101) ** 0.5)
    assert 1 < shift["ci95"][0] < shift["ratio"] < shift["ci95"][1]
    assert (shift["trial_id"], shift["node"], shift["metric"]) == ("0000-r2", "host", "ttft_p90_ms")
    assert (shift["from_s"], shift["to_s"]) == (1.7e9 + 3600, 1.7e9 + 7200)


def test_where_the_default_stayed_as_it_was_nothing_is_told_but_the_table() -> None:
    assert told(STEADY) == []
    assert known(STEADY).results().summary["shifts"] == []
    table = references_table(known(STEADY).results())
    assert table is not None
    assert table.rows == (
        ("0000", "+ 0 s", "host", "100", ""),
        ("0000-r1", "+ 1 h 00 min", "host", "101", "+1.0\N{NO-BREAK SPACE}%"),
        ("0000-r2", "+ 2 h 00 min", "host", "99", "−1.0\N{NO-BREAK SPACE}%"),
    )
    assert TITLE in render_report(known(STEADY).results())


def test_without_a_reference_there_is_no_table() -> None:
    assert references_table(known({}).results()) is None
    assert TITLE not in render_report(known({}).results())


def test_what_others_disturbed_tells_nothing_of_the_machine() -> None:
    made = known(SLOWER)
    (rung,) = made.rungs["0000-r2-2"]
    marked = tuple(replace(m, disturbed="others spin") for m in rung.measurements)
    made.rungs["0000-r2-2"] = (replace(rung, measurements=marked),)
    assert made.results().shifts == ()
