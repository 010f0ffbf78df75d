"""Telemetry and requests files of earlier versions are read."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.metrics.request import PointRun
from autotuner.metrics.telemetry import Telemetry, TelemetrySample
from autotuner.results.storage.requests_file import read_requests, write_requests
from autotuner.results.storage.telemetry_file import read_telemetry, write_telemetry

LEVEL = LoadLevel(LoadKind.CONCURRENCY, 2)
SAMPLE = TelemetrySample(0.5, running=2.0, cpu_run_s=3.0, cpu_wait_s=4.0, cpu_others_s=5.0, finished=6.0)


def test_what_a_file_has_no_column_of_was_not_told(tmp_path: Path) -> None:
    path = tmp_path / "told.parquet"
    write_telemetry(path, "0001", 0, [PointRun(LEVEL, (), telemetry=Telemetry((SAMPLE,)))])
    assert [sampled.telemetry.samples for sampled in read_telemetry(path)] == [(SAMPLE,)]
    pq.write_table(pq.read_table(path).drop_columns(["cpu_run_s", "cpu_wait_s", "cpu_others_s", "finished"]), path)
    assert [sampled.telemetry.samples for sampled in read_telemetry(path)] == [(TelemetrySample(0.5, running=2.0),)]


def test_what_disturbed_a_run_is_kept_with_its_requests(tmp_path: Path) -> None:
    path = tmp_path / "requests.parquet"
    write_requests(path, "0001", 0, [PointRun(LEVEL, (), disturbed="others spin"), PointRun(LEVEL, ())])
    assert [run.disturbed for run in read_requests(path)] == ["others spin", ""]
