"""Every figure says which levels and which runs it is of; and how best and default stand to the SLOs."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from autotuner.errors import Failure
from autotuner.report.console import print_summary
from autotuner.report.facts.measured import measured_table, slo_table
from autotuner.report.facts.summary_facts import config_rows, facts
from autotuner.report.facts.time_spent import savings_lines, time_parts
from autotuner.report.facts.trial_rows import trial_table
from autotuner.report.facts.verdict import verdict
from autotuner.report.html import render_report
from autotuner.results import Phase, TrialState
from autotuner.results.account import Account
from autotuner.results.records import LifeRecord
from tests.known_results import Hold, Known

SLO = {"ttft": {"p90": {"threshold_ms": 100}}, "tpot": {"mean": {"threshold_ms": 20}}}


def ttft(first: float, second: float, **more: float) -> dict[float, dict[str, float]]:
    return {level: {"ttft_p90_ms": value, "tpot_mean_ms": 10.0, **more} for level, value in ((1, first), (2, second))}


def confirmed(**keys: Any) -> Known:
    """By the mean of both levels: in the search 40 against 200, in two rounds 50 and 72 against 150 and 100."""
    known = Known({"objective": "ttft_p90", "slo": SLO, "search": {"confirm": 2}, **keys})
    known.trial("0000", ttft(90, 110), ttft(100, 300), config={"ubatch-size": None})
    known.trial("0001", ttft(20, 30), ttft(30, 50), config={"ubatch-size": 32})
    known.trial("0001-c1", ttft(40, 60), config={"ubatch-size": 32})
    known.trial("0000-c1", ttft(90, 210))
    known.trial("0000-c2", ttft(80, 120))
    known.trial("0001-c2", ttft(44, 100), config={"ubatch-size": 32})
    return known


def fact(known: Known, label: str) -> tuple[str, str]:
    (found,) = [(f.value, f.note) for f in facts(known.results()) if f.label == label]
    return found


# ── one figure, one label ─────────────────────────────────────────────────────────────────────


def test_what_was_measured_is_of_the_runs_that_the_verdict_rests_on() -> None:
    table = measured_table(confirmed().results())
    assert table is not None
    assert table.source == "means of 2 confirmation rounds of trials 0001 and 0000"
    assert table.columns[:3] == ("load point", "Config", "TTFT p90 (ms)")
    assert [row[:3] for row in table.rows] == [
        ("concurrency 1", "best", "42"),
        ("concurrency 1", "default", "85"),
        ("concurrency 2", "best", "80"),
        ("concurrency 2", "default", "165"),
    ]


def test_the_objective_is_told_with_its_levels_once_of_the_search_and_once_of_confirmation() -> None:
    known = confirmed()
    label = "Time to first token, p90, mean of concurrency 1 and 2"
    assert fact(known, f"{label}, in the search") == ("40", "ms, trial 0001; default 200")
    best, default = math.sqrt(50 * 72), math.sqrt(150 * 100)
    assert fact(known, f"{label}, in confirmation") == (
        f"{best:.0f}",
        f"ms, geometric mean of 2 rounds; default {default:.1f}",
    )
    change = 100 * (best / default - 1)
    told = " ".join(verdict(known.results()).details)
    assert "Time to first token, p90 (mean of concurrency 1 and 2) −51" in told
    assert round(change) == -51


def test_each_at_its_best_level_is_told_where_the_levels_differ() -> None:
    known = Known({"objective": "throughput", "search": {"confirm": 0}})
    known.trial("0000", {1: {"output_tokens_per_s": 30.0}, 2: {"output_tokens_per_s": 20.0}})
    known.trial("0001", {1: {"output_tokens_per_s": 40.0}, 2: {"output_tokens_per_s": 60.0}})
    value, note = fact(known, "Output tokens per second, concurrency 2, in the search")
    assert (value, note) == ("60", "tokens/s, trial 0001; default 30 (concurrency 1)")
    assert "Output tokens per second (each at its best load level) +100" in verdict(known.results()).headline


def test_summary_and_tables_name_the_level_of_their_metrics() -> None:
    results = confirmed().results()
    best = results.summary["best"]
    assert (best["level"], best["scope"], best["value"]) == (None, "mean of concurrency 1 and 2", 40)
    assert (best["metrics_load_kind"], best["metrics_level"]) == ("concurrency", 2)
    assert best["metrics"]["ttft_p90_ms"] == 50
    row = results.trials.set_index("trial_id").loc["0001"]
    assert (row["metrics_load_kind"], row["metrics_level"], row["ttft_p90_ms"]) == ("concurrency", 2, 50)
    assert results.summary["improvement"]["scope"] == "mean of concurrency 1 and 2"


def test_the_table_of_all_trials_names_what_score_and_metrics_are_of() -> None:
    table = trial_table(confirmed().results())
    (row,) = [dict(zip(table.columns, row, strict=True)) for row in table.rows if row[0].text == "0001"]
    assert row["score_of"].text == "mean of concurrency 1 and 2"
    assert row["metrics_of"].text == "concurrency 2"
    assert (row["score"].text, row["ttft_p90_ms"].text) == ("40", "50")


def test_the_table_of_all_trials_tells_what_misses_the_slos_by_how_far() -> None:
    known = Known({"objective": "ttft_p90", "slo": {"ttft": {"p90": {"threshold_ms": 1}}}})
    known.trial("0000", ttft(16, 31))
    table = trial_table(known.results())
    (row,) = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert row["score"].text == "+3,000\N{NO-BREAK SPACE}% over"
    assert row["score"].order == known.rungs["0000"][-1].score.score > 1e20
    assert "e+2" not in printed(known)


def test_without_confirmation_the_figures_are_of_the_search_and_say_so() -> None:
    known = Known({"objective": "ttft_p90", "slo": SLO, "search": {"confirm": 0}})
    known.trial("0000", ttft(90, 110), ttft(100, 300))
    known.trial("0001", ttft(20, 30), ttft(30, 50))
    table = measured_table(known.results())
    assert table is not None
    assert table.source == "the search: trial 0001 (last rung) and trial 0000 (last rung)"
    assert [row[2] for row in table.rows] == ["30", "100", "50", "300"]


def test_of_a_stopped_default_the_rung_is_named() -> None:
    known = Known({"objective": "ttft_p90", "search": {"confirm": 0}})
    known.trial("0000", ttft(90, 110), state=TrialState.STOPPED)
    known.trial("0001", ttft(20, 30), ttft(30, 50))
    table = measured_table(known.results())
    assert table is not None
    assert "trial 0000 (rung 0 of 0 to 1)" in table.source


def test_what_was_noted_of_the_answers_is_told_once_with_whose_and_at_which_levels() -> None:
    chunks = "output tokens are counted by chunks"
    known = Known({"objective": "ttft_p90", "search": {"confirm": 0}})
    known.trial("0000", ttft(90, 110), notes=(chunks,))
    known.trial("0001", ttft(20, 30), notes=(chunks, "9 of 20 answers came at once"))
    table = measured_table(known.results())
    assert table is not None
    assert table.notes == (
        f"best, concurrency 1 and 2; default, concurrency 1 and 2: {chunks}",
        "best, concurrency 1 and 2: 9 of 20 answers came at once",
    )
    assert f"Note: {table.notes[0]}" in render_report(known.results())
    out = io.StringIO()
    print_summary(known.results(), Console(width=200, file=out))
    assert f"Note: {table.notes[1]}" in out.getvalue()


def test_of_many_notes_the_first_stand_and_the_rest_are_counted() -> None:
    known = Known({"objective": "ttft_p90", "search": {"confirm": 0}})
    known.trial("0000", ttft(90, 110), notes=tuple(f"note {number}" for number in range(9)))
    table = measured_table(known.results())
    assert table is not None
    assert len(table.notes) == 7
    assert table.notes[-1] == "3 more in measurements.csv"


# ── the SLOs ──────────────────────────────────────────────────────────────────────────────────


def test_each_slo_is_told_with_its_margin_at_each_level() -> None:
    table = slo_table(confirmed().results())
    assert table is not None
    assert table.columns == ("SLO", "limit", "load point", "Config", "value", "margin")
    plain = [tuple(cell.replace("\N{NO-BREAK SPACE}", " ") for cell in row) for row in table.rows]
    assert plain == [
        ("TTFT p90", "100 ms", "concurrency 1", "best", "42", "58 % below"),
        ("TTFT p90", "100 ms", "concurrency 1", "default", "85", "15 % below"),
        ("TTFT p90", "100 ms", "concurrency 2", "best", "80", "20 % below"),
        ("TTFT p90", "100 ms", "concurrency 2", "default", "165", "65 % over"),
        ("TPOT mean", "20 ms", "concurrency 1", "best", "10", "50 % below"),
        ("TPOT mean", "20 ms", "concurrency 1", "default", "10", "50 % below"),
        ("TPOT mean", "20 ms", "concurrency 2", "best", "10", "50 % below"),
        ("TPOT mean", "20 ms", "concurrency 2", "default", "10", "50 % below"),
        ("all of them", "", "concurrency 1", "best", "kept", ""),
        ("all of them", "", "concurrency 1", "default", "kept", ""),
        ("all of them", "", "concurrency 2", "best", "kept", ""),
        ("all of them", "", "concurrency 2", "default", "missed", ""),
    ]


@pytest.mark.parametrize(
    ("objective", "headline", "details"),
    [
        (
            "ttft_p90",
            "Trial 0001 came closest (mean of concurrency 1 and 2, in the search)",
            (
                "ttft_p90_ms 110 over 100 at concurrency 1 (+10 %, MINOR)",
                "ttft_p90_ms 130 over 100 at concurrency 2 (+30 %, SEVERE)",
            ),
        ),
        (
            "throughput",
            "Trial 0001 came closest (concurrency 1, in the search)",
            ("ttft_p90_ms 110 over 100 at concurrency 1 (+10 %, MINOR)",),
        ),
    ],
)
def test_what_is_over_an_slo_is_told_with_its_load_level(
    objective: str, headline: str, details: tuple[str, ...]
) -> None:
    known = Known({"objective": objective, "slo": SLO})
    known.trial("0000", ttft(200, 300, output_tokens_per_s=5))
    known.trial("0001", ttft(110, 130, output_tokens_per_s=5))
    found = verdict(known.results())
    assert found.headline == f"No Config meets the SLOs. {headline}."
    assert tuple(line.replace("\N{NO-BREAK SPACE}", " ") for line in found.details) == details


def test_an_slo_that_one_round_breaks_is_not_called_kept() -> None:
    known = confirmed()
    known.trials = [trial for trial in known.trials if trial.trial_id != "0001-c2"]
    known.trial("0001-c2", ttft(44, 101))
    table = slo_table(known.results())
    assert table is not None
    assert table.rows[-2][3:] == ("best", "kept", "in 1 of 2 rounds")


# ── what was not measured ─────────────────────────────────────────────────────────────────────


def spoiled() -> Known:
    """Round 2 of the best lacks level 1, both rounds of the default level 2, through no fault of theirs."""
    known = Known({"objective": "throughput", "slo": SLO, "search": {"confirm": 2}})
    late = Failure.CLIENT_SATURATED
    known.trial("0000", ttft(90, 110, output_tokens_per_s=5))
    known.trial("0001", ttft(20, 30, output_tokens_per_s=9))
    known.trial("0001-c1", ttft(40, 60, output_tokens_per_s=9))
    known.trial("0001-c2", {2: ttft(0, 80, output_tokens_per_s=9)[2]}, lacks={1: late})
    for number in (1, 2):
        known.trial(f"0000-c{number}", {1: ttft(150, 0, output_tokens_per_s=5)[1]}, lacks={2: late})
    return known


def test_the_mean_is_of_the_rounds_that_measured_it_and_says_of_how_many() -> None:
    table = measured_table(spoiled().results())
    assert table is not None
    assert table.columns[:5] == ("load point", "Config", "rounds", "output tokens/s", "TTFT p90 (ms)")
    assert [row[:5] for row in table.rows] == [
        ("concurrency 1", "best", "1 of 2", "9", "40"),
        ("concurrency 1", "default", "2 of 2", "5", "150"),
        ("concurrency 2", "best", "2 of 2", "9", "70"),
        ("concurrency 2", "default", "0 of 2", "–", "–"),
    ]
    assert table.notes == (
        "best, concurrency 1, not measured in trial 0001-c2: CLIENT_SATURATED: too late",
        "default, concurrency 2, not measured in trial 0000-c1: CLIENT_SATURATED: too late",
        "default, concurrency 2, not measured in trial 0000-c2: CLIENT_SATURATED: too late",
    )


def test_a_metric_that_one_round_lacks_says_so_beside_its_mean() -> None:
    known = confirmed()
    known.trials = [trial for trial in known.trials if trial.trial_id != "0001-c2"]
    known.trial("0001-c2", {1: {"ttft_p90_ms": 44.0}, 2: {"ttft_p90_ms": 100.0}})
    table = measured_table(known.results())
    assert table is not None
    assert table.columns[2:4] == ("TTFT p90 (ms)", "TPOT mean (ms)")
    assert table.rows[0][2:4] == ("42", "10 (1 of 2)")
    slos = slo_table(known.results())
    assert slos is not None
    assert slos.rows[4][-1].endswith("below, 1 of 2 rounds")


def test_what_was_not_measured_is_neither_kept_nor_missed() -> None:
    table = slo_table(spoiled().results())
    assert table is not None
    told = {(row[0], row[2], row[3]): row[4:] for row in table.rows}
    assert told["all of them", "concurrency 1", "best"] == ("kept", "1 of 2 rounds measured")
    assert told["all of them", "concurrency 1", "default"] == ("missed", "")
    assert told["all of them", "concurrency 2", "best"] == ("kept", "")
    assert told["all of them", "concurrency 2", "default"] == ("–", "not measured")
    assert told["TTFT p90", "concurrency 2", "default"] == ("–", "not measured")
    assert told["TTFT p90", "concurrency 1", "best"][1].endswith("below, 1 of 2 rounds")


def test_levels_that_were_not_measured_are_skipped_and_named() -> None:
    known = spoiled()
    label = "Load up to which one server keeps the SLOs"
    assert fact(known, label) == ("concurrency 2", "best, the highest measured; default: none measured")
    known.trials = [trial for trial in known.trials if trial.trial_id != "0001-c1"]
    known.trial("0001-c1", {2: ttft(0, 60, output_tokens_per_s=9)[2]}, lacks={1: Failure.INFRASTRUCTURE})
    note = "best, the highest measured, concurrency 1 not measured; default: none measured"
    assert fact(known, label) == ("concurrency 2", note)
    table = slo_table(known.results())
    assert table is not None
    assert ("all of them", "", "concurrency 1", "best", "–", "not measured") in table.rows


def test_a_load_that_a_config_itself_fails_is_not_skipped() -> None:
    known = Known({"objective": "throughput", "slo": SLO, "search": {"confirm": 0}})
    known.trial("0000", ttft(50, 60, output_tokens_per_s=5))
    known.trial("0001", {2: ttft(0, 60, output_tokens_per_s=9)[2]}, lacks={1: Failure.HANG})
    table = slo_table(known.results())
    assert table is not None
    assert ("all of them", "", "concurrency 1", "best", "failed", "") in table.rows
    assert fact(known, "Load up to which one server keeps the SLOs")[0] == "none measured"


def test_an_slo_without_a_value_is_no_load_that_was_not_measured() -> None:
    known = Known({"objective": "ttft_p90", "slo": SLO, "search": {"confirm": 0}})
    known.trial("0000", {1: {"ttft_p90_ms": 44.0}, 2: {"ttft_p90_ms": 50.0}})
    table = slo_table(known.results())
    assert table is not None
    assert ("TPOT mean", "20 ms", "concurrency 1", "closest", "–", "no value") in table.rows
    assert ("all of them", "", "concurrency 1", "closest", "infeasible", "") in table.rows
    measured = measured_table(known.results())
    assert measured is not None
    assert measured.notes[0] == (
        "closest, concurrency 1: infeasible: tpot_mean_ms has no value, so that its SLO can't be said to hold"
    )


def test_errors_are_told_where_there_are_any() -> None:
    known = Known({"objective": "ttft_p90", "slo": {**SLO, "error_rate": 0.05}, "search": {"confirm": 0}})
    known.trial("0000", ttft(10, 10, error_rate=0.0))
    known.trial("0001", ttft(5, 5, error_rate=0.02))
    table = slo_table(known.results())
    assert table is not None
    rows = [row for row in table.rows if row[0] == "error rate"]
    assert [(row[1], row[3], row[4]) for row in rows] == [("5 %", "best", "2"), ("5 %", "default", "0")] * 2


def test_a_study_without_slos_has_no_such_table() -> None:
    known = Known({"objective": "ttft_p90"})
    known.trial("0000", ttft(10, 10))
    assert slo_table(known.results()) is None
    assert not [f for f in facts(known.results()) if "keeps the SLOs" in f.label]


@pytest.mark.parametrize(
    ("first", "second", "replicas", "told", "note"),
    [
        (50, 60, 1, "concurrency 2", "best, the highest measured"),
        (50, 101, 1, "concurrency 1", "best"),
        (101, 50, 1, "none measured", "best"),
        (50, 60, 2, "concurrency 1", "best, the highest measured"),
    ],
)
def test_up_to_which_load_one_server_keeps_the_slos(
    first: float, second: float, replicas: int, told: str, note: str
) -> None:
    known = Known({"objective": "ttft_p90", "slo": SLO, "search": {"confirm": 0, "select": "score"}})
    known.trial("0000", ttft(150, 300))
    known.trial("0001", ttft(first, second), replicas=replicas)
    found = fact(known, "Load up to which one server keeps the SLOs")
    assert found == (told, f"{note}; default: none measured")


# ── Configs ───────────────────────────────────────────────────────────────────────────────────


def test_what_the_default_leaves_out_is_shown_as_the_server_has_it() -> None:
    known = Known({"objective": "ttft_p90", "args": {"batch-size": 512}, "search": {"confirm": 0}})
    known.trial("0000", ttft(90, 110), config={})
    best = {"ubatch-size": 512, "flash-attn": True, "batch-size": 256, "env.X": "1", "no-such-flag": 3}
    known.trial("0001", ttft(20, 30), config=best)
    rows = {row.name: row for row in config_rows(known.results())}
    assert (rows["ubatch-size"].best, rows["ubatch-size"].default) == ("512", "512 (built in)")
    assert not rows["ubatch-size"].differs, "set to what it is anyway"
    assert rows["batch-size"].default == "512", "the study's own value"
    assert rows["batch-size"].differs
    assert rows["env.X"].default == "–"
    assert rows["no-such-flag"].default == "–"
    assert rows["flash-attn"].default == "auto (built in)"


# ── why there is no confirmation ──────────────────────────────────────────────────────────────


def unconfirmed(**keys: Any) -> Known:
    known = Known({"objective": "ttft_p90", **keys})
    known.trial("0000", ttft(90, 110))
    known.trial("0001", ttft(20, 30))
    return known


def reason(known: Known) -> str:
    improvement = known.results().improvement
    assert improvement is not None
    return improvement.reason


def test_confirmation_that_is_off_is_the_reason() -> None:
    assert reason(unconfirmed(search={"confirm": 0})) == "confirmation is off (search.confirm: 0)"


def test_one_round_is_no_interval() -> None:
    known = unconfirmed(search={"confirm": 1, "finalists": None})
    known.trial("0001-c1", ttft(20, 30))
    known.trial("0000-c1", ttft(90, 110))
    assert reason(known) == (
        "1 of 1 confirmation round came to an end, as search.confirm asks; 2 are needed for an interval"
    )


def test_a_budget_that_left_no_room_is_the_reason() -> None:
    known = unconfirmed(search={"confirm": 3})
    known.stop_reason = "budget: gpu_hours"
    assert reason(known) == "0 of 3 confirmation rounds came to an end: the study ended (budget: gpu_hours)"


def test_rounds_that_failed_are_the_reason() -> None:
    known = unconfirmed(search={"confirm": 2})
    known.trial("0001-c1", state=TrialState.FAILED, failure=Failure.HANG)
    assert "(0001-c1: HANG: it broke)" in reason(known)


def test_a_default_that_can_not_run_is_the_reason() -> None:
    known = Known({"objective": "ttft_p90"})
    known.trial("0000", state=TrialState.FAILED, failure=Failure.OUT_OF_MEMORY_AT_START)
    known.trial("0001", ttft(20, 30))
    assert reason(known) == (
        "there is no default to confirm against: trial 0000 failed: OUT_OF_MEMORY_AT_START: it broke"
    )


def test_a_default_of_another_type_is_compared_with_and_named() -> None:
    known = Known({"objective": "ttft_p90", "search": {"confirm": 2}})
    known.trial("0000", state=TrialState.FAILED, failure=Failure.CLIENT_SATURATED, accelerator="H100-80GB")
    known.trial("0001", ttft(90, 110), phase=Phase.BASELINE, accelerator="L40S-48GB")
    known.trial("0002", ttft(20, 30))
    for number in (1, 2):
        known.trial(f"0002-c{number}", ttft(20, 30))
        known.trial(f"0001-c{number}", ttft(90, 110))
    found = verdict(known.results())
    assert "Recommended: trial 0002 beats the default" in found.headline
    assert found.details[-1] == (
        "Compared with trial 0001, the default on L40S-48GB: trial 0000, the default on H100-80GB, failed: "
        "CLIENT_SATURATED: it broke."
    )
    assert known.results().summary["improvement"]["baseline"] == "0001"


def test_a_default_that_was_measured_once_more_is_told() -> None:
    known = Known({"objective": "ttft_p90", "search": {"confirm": 2}})
    known.trial("0000", state=TrialState.FAILED, failure=Failure.CLIENT_SATURATED)
    known.trial("0001", ttft(20, 30))
    for number in (1, 2):
        known.trial(f"0001-c{number}", ttft(20, 30))
        known.trial(f"0000-c{number}", ttft(90, 110))
    found = verdict(known.results())
    assert "Recommended: trial 0001 beats the default" in found.headline
    assert "measured once more for the confirmation" in found.details[-1]
    table = measured_table(known.results())
    assert table is not None
    assert [row[2] for row in table.rows] == ["20", "90", "30", "110"]


# ── nothing came to its end ───────────────────────────────────────────────────────────────────


def test_a_study_whose_budget_was_too_small_says_what_would_have_been_enough() -> None:
    keys = {"objective": "ttft_p90", "slo": SLO, "search": {"confirm": 1}, "budget": {"wall_clock_h": 0.01}}
    known = Known(keys, stop_reason="budget: wall_clock_h")
    known.trial("0000", ttft(150, 300), state=TrialState.STOPPED, seconds=100)
    known.trial("0001", ttft(20, 30), state=TrialState.STOPPED, seconds=100)
    found = verdict(known.results())
    assert found.headline == "No trial came to its end before the study did (budget: wall_clock_h)."
    assert found.details[0] == (
        "Trial 0001 met the SLOs (mean of concurrency 1 and 2) after rung 1 of 2: a part of its load decides nothing."
    )
    assert "Trial 0000 violated ttft_p90_ms (at worst +200" in found.details[1]
    # 10 s of loading; 90 s for half of 16 requests at each of two levels. Then four such trials.
    assert "a whole trial takes about 3 min 10 s" in found.details[2]
    assert found.details[2].endswith("about 12 min 40 s: give at least budget.wall_clock_h: 0.2111.")


def test_gpu_hours_are_asked_for_where_they_are_limited() -> None:
    known = Known({"objective": "ttft_p90", "search": {"confirm": 0}, "budget": {"gpu_hours": 0.01}})
    known.trial("0000", ttft(150, 300), state=TrialState.STOPPED, seconds=100, gpus=4)
    assert verdict(known.results()).details[-1].endswith("give at least budget.gpu_hours: 0.4222.")


def test_trials_without_an_ended_rung_tell_how_long_they_ran() -> None:
    known = Known({"objective": "ttft_p90"}, stop_reason="budget: wall_clock_h")
    known.trial("0000", state=TrialState.STOPPED, seconds=33)
    assert verdict(known.results()).details == ("None ended its first rung; trial 0000 ran for 33 s.",)


def test_failures_alone_are_no_matter_of_budgets() -> None:
    known = Known({"objective": "ttft_p90"})
    known.trial("0000", state=TrialState.FAILED, failure=Failure.CRASH)
    found = verdict(known.results())
    assert found.headline == "No Config is feasible: no trial came to its end."
    assert found.details == ("Trial 0000: CRASH: it broke",)


# ── the default alone, and what a budget left out ─────────────────────────────────────────────


def test_the_tables_fit_into_80_columns() -> None:
    """No word is broken: each line's words are those of the wide print."""
    known = spoiled()
    known.keys["slo"] = {"ttft": {"p90": {"threshold_ms": 10_000}}, "tpot": {"mean": {"threshold_ms": 20}}}
    told = printed(known, width=80)
    assert max(map(len, told.splitlines())) <= 80
    assert set(told.split()) == set(printed(known, width=300).split())


def the_default_alone(first: float, **keys: Any) -> Known:
    """60 s for the default of four trials, on 2 GPUs."""
    known = Known({"objective": "ttft_p90", "slo": SLO, **keys})
    known.trial("0000", ttft(first, 110), ttft(first, 300), config={}, ended_at=61.0, gpus=2, seconds=60)
    return known


def printed(known: Known, *lives: LifeRecord, width: int = 200) -> str:
    out = io.StringIO()
    print_summary(known.results(*lives), Console(width=width, file=out))
    return out.getvalue()


def test_a_budget_that_ended_after_the_default_tells_what_it_left_out_and_what_it_lacked() -> None:
    budget = {"wall_clock_h": 0.02, "gpu_hours": 1}
    known = the_default_alone(150, search={"trials": 4, "confirm": 1, "finalists": 1}, budget=budget)
    known.stop_reason = "budget: wall_clock_h"
    life = LifeRecord(1, 0.0, 72.0, 72.0, 0.0, 0.0)
    found = verdict(known.results(life))
    assert found.headline == (
        "No Config meets the SLOs: only the default was measured (mean of concurrency 1 and 2, in the search)."
    )
    assert found.details[-2:] == (
        "Of 4 trials 3 were not begun: the study ended before (budget: wall_clock_h).",
        # six trials of 72 s, and of 120 GPU-seconds
        "At the pace so far 3 more trials and up to 2 confirmations would have needed about budget.wall_clock_h: 0.12 "
        "and budget.gpu_hours: 0.2 in all.",
    )
    told = printed(known, life)
    assert found.details[-1] in told
    assert "closest  default" not in told
    assert found.details[-1] in render_report(known.results(life))


def test_trials_that_the_budget_cut_are_told_and_those_that_ended_by_themselves_are_not() -> None:
    known = the_default_alone(50, search={"trials": 4, "confirm": 1}, budget={"wall_clock_h": 0.02})
    known.stop_reason = "budget: wall_clock_h"
    stopped: dict[str, Any] = {"state": TrialState.STOPPED, "ended_at": 70.0}
    known.trial("0001", ttft(60, 70), **stopped, message="the study's wall clock was spent before this rung ended")
    known.trial("0002", ttft(160, 170), **stopped)
    own = "the trial's time (timeouts.trial_s) was spent before this rung ended"
    known.trial("0003", ttft(160, 170), **stopped, message=own)
    told = verdict(known.results()).details
    assert "Of 4 trials 1 was cut: the study ended before (budget: wall_clock_h)." in told


def test_nothing_was_left_out_of_a_study_that_came_to_its_end() -> None:
    known = the_default_alone(50, search={"trials": 4, "confirm": 1}, budget={"wall_clock_h": 0.02})
    known.trial("0001", ttft(60, 70), ttft(60, 70))
    known.stop_reason = "the space has no further Config"
    assert not [line for line in verdict(known.results()).details if "not begun" in line or "would have" in line]


def test_the_default_alone_beats_nothing() -> None:
    known = Known({"objective": "ttft_p90", "slo": SLO, "search": {"trials": 1, "confirm": 0}})
    known.trial("0000", ttft(50, 60), ttft(50, 70), config={})
    found = verdict(known.results())
    assert found.headline == "Only the default was measured: nothing was compared with it."
    assert found.details == ("Time to first token, p90 (mean of concurrency 1 and 2): 60 ms, within the SLOs.",)
    told = printed(known)
    assert "best  default" not in told
    assert "beats" not in told


def test_of_an_endpoint_the_server_is_named() -> None:
    launcher = {"kind": "endpoint", "url": "http://127.0.0.1:1"}
    known = Known({"objective": "ttft_p90", "launcher": launcher, "space": {}, "search": {"trials": 1}})
    known.trial("0000", ttft(50, 60), ttft(50, 70), config={})
    found = verdict(known.results())
    assert found.headline == "Only the running server was measured: nothing was compared with it."
    assert found.details == ("Time to first token, p90 (mean of concurrency 1 and 2): 60 ms.",)


def test_a_default_beside_configs_that_failed_is_not_alone() -> None:
    known = Known({"objective": "ttft_p90", "search": {"trials": 2, "confirm": 0}})
    known.trial("0000", ttft(50, 60), ttft(50, 70))
    known.trial("0001", state=TrialState.FAILED, failure=Failure.CRASH)
    assert verdict(known.results()).headline == "Nothing that was tried beats the default: keep it."


# ── what was spent ────────────────────────────────────────────────────────────────────────────


def test_wall_clock_and_what_was_held_stand_under_names_of_their_own() -> None:
    known = Known({"objective": "ttft_p90"})
    known.trial("0000", ttft(1, 1), seconds=100, gpus=4, hold=Hold(4, 8))
    lives = (LifeRecord(1, 0.0, 60.0, 60.0, 0.0, 0.0), LifeRecord(2, 500.0, 545.0, 545.0, 240.0, 480.0))
    results = known.results(*lives)
    told = {f.label: (f.value, f.note) for f in facts(results)}
    assert told["Wall clock"] == (
        "1 min 45 s",
        "life 1: wall clock 1 min 00 s, GPU time 4 min 00 s; life 2: wall clock 45 s, GPU time 2 min 40 s",
    )
    assert told["GPU time"] == ("6 min 40 s", "GPUs × time reserved, confirmations included")
    assert isinstance(results.account, Account)
    assert results.summary["spent"]["gpu_s"] == results.summary["gpu_seconds"]["reserved"] == 400


# ── what was changed, and what was left out ───────────────────────────────────────────────────


def test_the_best_says_what_of_it_was_changed_at_its_start() -> None:
    known = confirmed()
    assert not [f for f in facts(known.results()) if f.label == "Changed at its start"]
    assert "changed_at_start" not in trial_table(known.results()).columns
    best = known.trials.index(next(t for t in known.trials if t.trial_id == "0001"))
    known.trials[best] = replace(known.trials[best], asked={"ubatch-size": 64})
    assert fact(known, "Changed at its start")[0] == "ubatch-size 64 → 32"
    table = trial_table(known.results())
    at = table.columns.index("changed_at_start")
    assert [row[at].text for row in table.rows if row[0].text in ("0000", "0001")] == ["", "ubatch-size 64 → 32"]


def test_what_a_lever_saved_is_told_with_what_it_is_estimated_from() -> None:
    known = Known({"objective": "ttft_p90"})
    known.trial("0000", ttft(50, 60, requests_per_s=2), gpus=2)
    assert savings_lines(known.results()) == ()
    known.trial("0001", {1: {"ttft_p90_ms": 50.0}}, gpus=4)  # 20 requests of the other level took the default 10 s
    (line,) = savings_lines(known.results())
    assert line.startswith(
        "1 load levels above one that broke: about 40 s of GPU time saved, estimated from the trials"
    )


def test_the_time_by_use_is_gpu_time_and_core_time_where_no_gpu_was_reserved() -> None:
    known = Known({"objective": "ttft_p90"})
    known.trial("0000", ttft(1, 1), seconds=100, gpus=2, hold=Hold(2, 8))
    assert sum(part.seconds for part in time_parts(known.results())) == 200
    known.trials[0] = replace(known.trials[0], hold=Hold(0, 8))
    parts = time_parts(known.results())
    assert sum(part.seconds for part in parts) == 800
    assert sum(part.share for part in parts) == pytest.approx(1)
