"""Raw requests of a rung, as one parquet file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.metrics.request import PointRun, RequestError, RequestRecord, TokensBy
from autotuner.results.storage.parquet_file import write_parquet

_RECORD_TYPES = {
    "index": pa.int64(),
    "warmup": pa.bool_(),
    "scheduled_s": pa.float64(),
    "sent_s": pa.float64(),
    "first_token_s": pa.float64(),
    "last_token_s": pa.float64(),
    "end_s": pa.float64(),
    "prompt_tokens": pa.int64(),
    "output_tokens": pa.int64(),
    "expected_output_tokens": pa.int64(),
    "chunk_s": pa.list_(pa.float64()),
    "error": pa.string(),
    "status": pa.int64(),
    "detail": pa.string(),
    "model": pa.string(),
    "asked_output_tokens": pa.int64(),
    "tokens_by": pa.string(),
    "first_visible_s": pa.float64(),
    "reasoning_tokens": pa.int64(),
}
_RUNS_KEY = b"autotuner.runs"


def requests_file_name(trial_id: str, rung: int) -> str:
    return f"{trial_id}-r{rung}.parquet"


def write_requests(path: Path, trial_id: str, rung: int, runs: Sequence[PointRun]) -> None:
    """Writes the file whole or not at all."""
    columns: dict[str, list[Any]] = {
        name: [] for name in ("trial_id", "rung", "run", "load_kind", "level", *_RECORD_TYPES)
    }
    for number, run in enumerate(runs):
        count = len(run.records)
        constant = (trial_id, rung, number, run.level.kind.value, run.level.value)
        for name, value in zip(("trial_id", "rung", "run", "load_kind", "level"), constant, strict=True):
            columns[name].extend([value] * count)
        for name in _RECORD_TYPES:
            columns[name].extend([getattr(record, name) for record in run.records])
    table = pa.table(columns, schema=_schema(runs))
    write_parquet(table, path)


def read_requests(path: Path) -> list[PointRun]:
    """The runs of one file, in the order in which they were written, without their telemetry."""
    table = pq.read_table(path)
    heads = json.loads(table.schema.metadata[_RUNS_KEY])
    unknown: list[Any] = [None] * table.num_rows  # a column that files of earlier versions do not have
    columns = {n: table[n].to_pylist() if n in table.column_names else unknown for n in _RECORD_TYPES}
    columns["chunk_s"] = [tuple(chunks) for chunks in columns["chunk_s"]]
    columns["error"] = [error and RequestError(error) for error in columns["error"]]
    columns["tokens_by"] = [by and TokensBy(by) for by in columns["tokens_by"]]
    names = [field.name for field in fields(RequestRecord)]
    rows = [RequestRecord(*values) for values in zip(*(columns[name] for name in names), strict=True)]
    runs = []
    start = 0
    for head in heads:
        kind, value = head.pop("level")
        count = head.pop("records")
        head["notes"] = tuple(head.get("notes", ()))
        runs.append(PointRun(LoadLevel(LoadKind(kind), value), tuple(rows[start : start + count]), **head))
        start += count
    return runs


def _schema(runs: Sequence[PointRun]) -> Any:
    heads = [
        {
            "level": [run.level.kind.value, run.level.value],
            "records": len(run.records),
            "lag_p99_ms": run.lag_p99_ms,
            "saturated": run.saturated,
            "stopped_early": run.stopped_early,
            "started_at": run.started_at,
            "notes": list(run.notes),
            "disturbed": run.disturbed,
        }
        for run in runs
    ]
    head_types = {
        "trial_id": pa.string(),
        "rung": pa.int64(),
        "run": pa.int64(),
        "load_kind": pa.string(),
        "level": pa.float64(),
    }
    return pa.schema(list({**head_types, **_RECORD_TYPES}.items()), metadata={_RUNS_KEY: json.dumps(heads).encode()})
