"""Telemetry samples of a rung, as one parquet file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.metrics.request import PointRun
from autotuner.metrics.telemetry import Telemetry, TelemetrySample
from autotuner.results.storage.parquet_file import write_parquet

_NAMES = tuple(field.name for field in fields(TelemetrySample))
_RUN_TYPES = {
    "trial_id": pa.string(),
    "rung": pa.int64(),
    "run": pa.int64(),
    "load_kind": pa.string(),
    "level": pa.float64(),
}
_RUNS_KEY = b"autotuner.runs"


@dataclass(frozen=True)
class SampledRun:
    """The telemetry of one run of a load point; ``run`` is its number in the rung, ``length_s`` what it took."""

    run: int
    level: LoadLevel
    length_s: float
    telemetry: Telemetry


def telemetry_file_name(trial_id: str, rung: int) -> str:
    return f"{trial_id}-r{rung}.parquet"


def write_telemetry(path: Path, trial_id: str, rung: int, runs: Sequence[PointRun]) -> None:
    """Writes the file whole or not at all; without samples there is none, nor one that a cut rung left."""
    sampled = [(number, run, run.telemetry) for number, run in enumerate(runs) if run.telemetry is not None]
    if not sampled:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(exist_ok=True)
    columns: dict[str, list[Any]] = {name: [] for name in (*_RUN_TYPES, *_NAMES)}
    heads = []
    for number, run, telemetry in sampled:
        constant = (trial_id, rung, number, run.level.kind.value, run.level.value)
        for name, value in zip(_RUN_TYPES, constant, strict=True):
            columns[name].extend([value] * len(telemetry.samples))
        for name in _NAMES:
            columns[name].extend([getattr(sample, name) for sample in telemetry.samples])
        heads.append(
            {
                "run": number,
                "level": [run.level.kind.value, run.level.value],
                "length_s": max((record.end_s for record in run.records), default=0.0),
                "samples": len(telemetry.samples),
                "missed": telemetry.missed,
            }
        )
    types = [*_RUN_TYPES.items(), *((name, pa.float64()) for name in _NAMES)]
    schema = pa.schema(types, metadata={_RUNS_KEY: json.dumps(heads).encode()})
    write_parquet(pa.table(columns, schema=schema), path)


def read_telemetry(path: Path) -> list[SampledRun]:
    """The sampled runs of one file, in order; empty where there is no file: nothing was sampled then."""
    if not path.is_file():
        return []
    table = pq.read_table(path)
    unknown: list[Any] = [None] * table.num_rows  # a column that files of earlier versions do not have
    columns = [table[name].to_pylist() if name in table.column_names else unknown for name in _NAMES]
    rows = [TelemetrySample(*values) for values in zip(*columns, strict=True)]
    found = []
    start = 0
    for head in json.loads(table.schema.metadata[_RUNS_KEY]):
        kind, value = head["level"]
        end = start + head["samples"]
        telemetry = Telemetry(tuple(rows[start:end]), head["missed"])
        found.append(SampledRun(head["run"], LoadLevel(LoadKind(kind), value), head["length_s"], telemetry))
        start = end
    return found
