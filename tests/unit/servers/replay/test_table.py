"""Tables: what they hold, and what is wrong with one, by row and column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autotuner.errors import Failure, StudyError
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.servers.replay.row import config_key
from autotuner.servers.replay.table import SUFFIXES, Table, read_table
from tests.replay_tables import REQUESTS, STARTUP_S, requests, row, surface, write

ONE, FOUR = (LoadLevel(LoadKind.CONCURRENCY, level) for level in (1, 4))
A = {"batch-size": 64}


def table(tmp_path: Path, *rows: dict[str, Any], name: str = "table.jsonl") -> Table:
    return read_table(write(tmp_path / name, rows))


def refused(tmp_path: Path, *rows: dict[str, Any]) -> StudyError:
    with pytest.raises(StudyError) as caught:
        table(tmp_path, *rows)
    assert caught.value.key == "launcher.table"
    return caught.value


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_says_the_same(tmp_path: Path, suffix: str) -> None:
    found = read_table(write(tmp_path / f"table{suffix}", surface(repeats=2)))
    assert found == read_table(write(tmp_path / "other.jsonl", surface(repeats=2)))
    assert len(found.launches) == 12
    assert found.levels == (ONE, FOUR)
    launch = found.launches[config_key({"batch-size": 64, "ubatch-size": 32})][1]
    assert (launch.startup_s, launch.gpus, launch.failure) == (STARTUP_S, 1, None)
    assert len(launch.levels[ONE].requests) == REQUESTS


def test_metrics_stand_in_for_requests(tmp_path: Path) -> None:
    found = table(tmp_path, row(A, ttft_p90_ms=100.0, requests_per_s=2.0))
    level = found.launches[config_key(A)][0].levels[ONE]
    assert (level.requests, level.metrics) == ((), {"ttft_p90_ms": 100.0, "requests_per_s": 2.0})


def test_requests_are_in_the_order_in_which_they_were_sent(tmp_path: Path) -> None:
    found = table(tmp_path, row(A, requests=[[2.0, 0.1, 0.2, 3], [1.0, None, None, 0], [0.5, 0.1, 0.2, 3]]))
    told = found.launches[config_key(A)][0].levels[ONE].requests
    assert [(request.sent_s, request.ttft_s) for request in told] == [(0.5, 0.1), (1.0, None), (2.0, 0.1)]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ({"a": 16}, {"a": "16"}, True),
        ({"a": 16}, {"a": 16.0}, True),
        ({"a": True}, {"a": "true"}, True),
        ({"a": True}, {"a": 1}, False),
        ({"a": None}, {}, True),
        ({"a": ""}, {}, True),
        ({"a": {"x": 1, "y": 2}}, {"a": '{"y": 2, "x": 1}'}, True),
        ({"a": 16, "b": "f"}, {"b": "f", "a": 16}, True),
        ({"a": "x"}, {"a": "y"}, False),
        ({"a": 16}, {"b": 16}, False),
    ],
)
def test_configs_are_the_same_however_they_are_written(one: dict[str, Any], other: dict[str, Any], same: bool) -> None:
    assert (config_key(one) == config_key(other)) is same


def test_a_launch_that_failed_has_no_levels(tmp_path: Path) -> None:
    failed = row(A, 1, repeat=1, failure="OUT_OF_MEMORY_AT_START")
    found = table(tmp_path, row(A, 1, repeat=0), failed, row(A, None, repeat=2, failure="CRASH"))
    good, at_start, crashed = found.launches[config_key(A)]
    assert (good.failure, at_start.failure, crashed.failure) == (
        None,
        Failure.OUT_OF_MEMORY_AT_START,
        Failure.CRASH,
    )
    assert (len(good.levels), at_start.levels, crashed.levels) == (1, {}, {})


def test_a_level_that_failed_leaves_the_others(tmp_path: Path) -> None:
    found = table(tmp_path, row(A, 1), row(A, 4, failure="CRASH"))
    launch = found.launches[config_key(A)][0]
    assert launch.failure is None
    assert (launch.levels[ONE].failure, launch.levels[FOUR].failure) == (None, Failure.CRASH)


@pytest.mark.parametrize(
    ("cells", "where", "rule"),
    [
        ({"status": "fine"}, "row 2, column status", "ok or failed"),
        ({"failure": "KABOOM", "status": "failed"}, "row 2, column failure", "OUT_OF_MEMORY_AT_START"),
        ({"failure": "CRASH", "status": "ok"}, "row 2, column failure", "where status is failed"),
        ({"status": "failed"}, "row 2, column failure", "where status is failed"),
        ({"load_kind": "users"}, "row 2, column load_kind", "concurrency, rate, speed"),
        ({"level": 0}, "row 2, column level", "above 0"),
        ({"level": "many"}, "row 2, column level", "a number"),
        ({"startup_s": -1}, "row 2, column startup_s", "a number from 0"),
        ({"startup_s": "1 min"}, "row 2, column startup_s", "a number from 0"),
        ({"gpus": 0.5}, "row 2, column gpus", "a whole number"),
        ({"gpus": True}, "row 2, column gpus", "a number"),
        ({"repeat": -1}, "row 2, column repeat", "a number from 0"),
        ({"requests": []}, "row 2, column requests", "raw requests, or metrics"),
        ({"requests": "[[0, 1"}, "row 2, column requests", "a list of"),
        ({"requests": [[0.0, 0.1, 0.2]]}, "row 2, column requests[0]", "sent_s, ttft_s, e2e_s, output_tokens"),
        ({"requests": [[0, 0.1, 0.2, 1], [0, 0.1, None, 1]]}, "row 2, column requests[1]", "both null"),
        ({"requests": [[0.0, 100.0, 0.2, 1]]}, "row 2, column requests[0]", "0 ≤ ttft_s ≤ e2e_s"),
        ({"requests": [[-1.0, 0.1, 0.2, 1]]}, "row 2, column requests[0]", "sent_s from 0"),
        ({"requests": None, "ttft_p90_ms": "fast"}, "row 2, column ttft_p90_ms", "a number from 0"),
    ],
)
def test_a_bad_cell_is_told_by_row_and_column(tmp_path: Path, cells: dict[str, Any], where: str, rule: str) -> None:
    error = refused(tmp_path, row({"batch-size": 32}), {**row(A), **cells})
    assert error.value == where
    assert rule in error.message


@pytest.mark.parametrize("column", ["load_kind", "level", "status", "startup_s", "gpus"])
def test_a_missing_column_is_told(tmp_path: Path, column: str) -> None:
    given = {name: value for name, value in row(A).items() if name != column}
    assert refused(tmp_path, given).value == f"column {column!r}"


def test_an_unknown_column_is_told_with_the_nearest(tmp_path: Path) -> None:
    error = refused(tmp_path, {**row(A), "ttft_p90_s": 0.1})
    assert (error.value, error.nearest) == ("column 'ttft_p90_s'", "ttft_p90_ms")


def test_a_table_of_nothing_measured_is_refused(tmp_path: Path) -> None:
    bare = {name: value for name, value in row(A).items() if name != "requests"}
    assert "neither" in refused(tmp_path, bare).message


def test_rows_that_are_the_same_need_numbers(tmp_path: Path) -> None:
    error = refused(tmp_path, row(A), row({"batch-size": 32}), row({"batch-size": "64"}))
    assert (error.value, "row 1 has the same" in error.message) == ("row 3, column repeat", True)


@pytest.mark.parametrize(("factor", "is_refused"), [(1000.0, True), (2.0, False)])
def test_repeats_in_other_units_are_told(tmp_path: Path, factor: float, is_refused: bool) -> None:
    rows = [row(A, repeat=number, ttft_p90_ms=0.2 * by, requests_per_s=1.0) for number, by in enumerate((1, factor))]
    if is_refused:
        error = refused(tmp_path, *rows)
        assert (error.value, "in another unit?" in error.message) == ("row 2, column ttft_p90_ms", True)
    else:
        table(tmp_path, *rows)


@pytest.mark.parametrize(
    ("name", "content", "rule"),
    [
        ("empty.jsonl", b"", "a table with rows"),
        ("half.jsonl", b'{"level": 1', "can't be read"),
        ("list.jsonl", b"[1, 2]\n", "a map from column to value"),
        ("table.xlsx", b"x", "a file that ends in"),
        ("table.parquet", b"x", "can't be read"),
        ("table.csv.gz", b"x", "can't be read"),
        ("bytes.csv", b"\xff\xfe\x00", "can't be read"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, name: str, content: bytes, rule: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(StudyError, match=rule):
        read_table(tmp_path / name)


def test_a_table_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "table.jsonl", [row(A)])
    before = read_table(path)
    write(path, [row(A, requests=requests(3, 1, 1.0))])
    assert len(read_table(path).launches[config_key(A)][0].levels[ONE].requests) == 3 != len(before.launches)


def test_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="No such file"):
        read_table(tmp_path / "none.jsonl")
