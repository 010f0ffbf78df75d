"""Raw requests: files of earlier versions are read as well."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from autotuner.metrics import LoadKind, LoadLevel, PointRun, RequestRecord
from autotuner.results.storage.requests_file import read_requests, write_requests

RECORD = RequestRecord(3, False, 0.5, 0.52, 0.6, 0.7, 0.71, 10, 2, 2, (0.6, 0.7), model="poet")


def test_a_file_without_the_requests_model(tmp_path: Path) -> None:
    path = tmp_path / "0000-r0.parquet"
    write_requests(path, "0000", 0, [PointRun(LoadLevel(LoadKind.CONCURRENCY, 2), (RECORD,))])
    assert read_requests(path)[0].records[0].model == "poet"
    pq.write_table(pq.read_table(path).drop_columns(["model"]), path)
    (record,) = read_requests(path)[0].records
    assert record.model is None
    assert (record.index, record.chunk_s) == (3, (0.6, 0.7))
