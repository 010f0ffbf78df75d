"""Tables of recorded measurements for tests: small, made by a rule that a reader can check by hand."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from autotuner.study import parse_study
from autotuner.study.model import Study

BATCHES = (64, 128, 256, 512)
MICRO = (16, 32, 64)
LEVELS = (1, 4)
STARTUP_S = 60.0
REQUESTS = 16  # of each level


def row(config: Mapping[str, Any], level: float | None = 1, **cells: Any) -> dict[str, Any]:
    """A row that is as it should be; a cell that is ``None`` is left out."""
    own = {f"config.{name}": value for name, value in config.items()}
    usual: dict[str, Any] = {
        "load_kind": "concurrency",
        "level": level,
        "status": "ok",
        "startup_s": STARTUP_S,
        "gpus": 1,
    }
    if "failure" in cells:
        usual["status"] = "failed"
    elif "requests" not in cells and not any(name.endswith(("_ms", "_per_s")) for name in cells):
        usual["requests"] = requests(REQUESTS, int(level or 1), 1.0)
    return {n: value for n, value in {**own, **usual, **cells}.items() if value is not None or n == "level"}


def requests(count: int, slots: int, e2e_s: float) -> list[list[float]]:
    """Each takes ``e2e_s``, a quarter of it to its first token, and has 10 tokens; ``slots`` at a time."""
    return [[number // slots * e2e_s, e2e_s / 4, e2e_s, 10] for number in range(count)]


def e2e_s(batch: int, micro: int, level: int) -> float:
    """The larger the batch the faster; 32 is the best micro-batch; a fuller server is slower for each request."""
    return 64 / batch * (1.0 if micro == 32 else 1.5) * float(level**0.5)


def surface(*, repeats: int = 1) -> list[dict[str, Any]]:
    """All 12 Configs of batch-size and ubatch-size; the largest of both does not fit into memory."""
    rows = []
    for batch in BATCHES:
        for micro in MICRO:
            config = {"batch-size": batch, "ubatch-size": micro}
            for repeat in range(repeats):
                if (batch, micro) == (BATCHES[-1], MICRO[-1]):
                    rows.append(row(config, None, repeat=repeat, failure="OUT_OF_MEMORY_AT_START"))
                    continue
                for level in LEVELS:
                    seconds = e2e_s(batch, micro, level)
                    rows.append(row(config, level, repeat=repeat, requests=requests(REQUESTS, level, seconds)))
    return rows


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """By the suffix: .jsonl, .csv, each also .gz, or .parquet."""
    rows = list(rows)
    if path.name.endswith(".parquet"):
        import pyarrow as pa
        from pyarrow import parquet

        columns = dict.fromkeys(name for one in rows for name in one)
        parquet.write_table(pa.Table.from_pylist([{name: one.get(name) for name in columns} for one in rows]), path)
        return path
    text = _csv(rows) if ".csv" in path.suffixes else "".join(json.dumps(one) + "\n" for one in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def _csv(rows: Sequence[Mapping[str, Any]]) -> str:
    from io import StringIO

    file = StringIO()
    writer = csv.DictWriter(file, list(dict.fromkeys(name for one in rows for name in one)))
    writer.writeheader()
    writer.writerows(
        {name: json.dumps(v) if isinstance(v, list | bool) else v for name, v in one.items()} for one in rows
    )
    return file.getvalue()


def study(table: Path, **sections: Any) -> Study:
    """A study that asks for the goodput of ``surface``, whose default is its slowest Config but one."""
    given: dict[str, Any] = {
        "name": "surface",
        "model": {"id": "org/any-model"},
        "engine": {"name": "llamacpp"},
        "launcher": {"kind": "replay", "table": str(table)},
        "space": {"parameters": {"batch-size": list(BATCHES), "ubatch-size": list(MICRO)}},
        "workload": {
            "scenario": "D(100,10)",
            "load": {"concurrency": list(LEVELS)},
            "requests": {"per_slot": 1, "min": REQUESTS},
        },
        "slo": {"ttft": {"p90": "400ms"}},
        "objective": "goodput_per_gpu",
        "search": {"trials": 12, "seed": 0, "confirm": 1, "baseline": {"batch-size": 64, "ubatch-size": 32}},
    }
    return parse_study(json.dumps({**given, **sections}))
