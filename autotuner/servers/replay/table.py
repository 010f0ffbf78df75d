"""A table of recorded measurements: read, checked, and looked up by Config."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from autotuner.errors import Failure
from autotuner.metrics.load_level import LoadLevel
from autotuner.servers.replay.recorded import RecordedLaunch, RecordedLevel
from autotuner.servers.replay.row import ConfigKey, Row, as_number, check_columns, is_at_start, read_row, refuse

SUFFIXES = (".jsonl", ".jsonl.gz", ".csv", ".csv.gz", ".parquet")
_MOST_DRIFT = 300.0  # between repeats of one measurement: more is no noise but another unit


@dataclass(frozen=True)
class Table:
    """``launches``: Config → its launches, by repeat. ``names``: the parameters that it has columns of.

    ``columns`` are those that hold a value somewhere; ``levels`` all load levels.
    """

    launches: Mapping[ConfigKey, Sequence[RecordedLaunch]]
    configs: Mapping[ConfigKey, Mapping[str, Any]]
    names: tuple[str, ...]
    columns: frozenset[str]
    levels: tuple[LoadLevel, ...]

    @cached_property
    def ranges(self) -> Mapping[str, tuple[float, float]]:
        """Of each parameter that has numbers, the least and the greatest."""
        found: dict[str, list[float]] = {}
        for key in self.launches:
            for name, text in key:
                if (number := as_number(text)) is not None:
                    found.setdefault(name, []).append(number)
        return {name: (min(numbers), max(numbers)) for name, numbers in found.items()}


def read_table(path: Path) -> Table:
    """Raises StudyError with the key ``launcher.table`` that names row and column."""
    try:
        stat = path.stat()
    except OSError as error:
        refuse(str(path), f"a file that can be read ({error.strerror})")
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _read(path: Path, _changed_ns: int, _size: int) -> Table:
    cells = list(_cells(path))
    if not cells:
        refuse(str(path), "a table with rows")
    check_columns(list(dict.fromkeys(name for row in cells for name in row)))
    filled = ({name: value for name, value in row.items() if value not in (None, "")} for row in cells)
    return make_table(read_row(number, row) for number, row in enumerate(filled, start=1))


def make_table(rows: Iterable[Row]) -> Table:
    """Raises StudyError for two rows of the same Config, level and repeat, and for repeats in different units."""
    by_launch: dict[tuple[ConfigKey, int], dict[LoadLevel | None, Row]] = {}
    configs: dict[ConfigKey, Mapping[str, Any]] = {}
    for row in rows:
        key = row.key
        configs.setdefault(key, row.config)
        levels = by_launch.setdefault((key, row.repeat), {})
        if row.level in levels:
            same = f"row {levels[row.level].number} has the same Config, level and repeat"
            refuse(f"row {row.number}, column repeat", f"{same}: number them", value=row.repeat)
        levels[row.level] = row
    launches: dict[ConfigKey, list[RecordedLaunch]] = {}
    for (key, _), found in sorted(by_launch.items(), key=lambda item: item[0][1]):
        launches.setdefault(key, []).append(_launch([*found.values()]))
    everything = [row for found in by_launch.values() for row in found.values()]
    _refuse_mixed_units(everything)
    return Table(
        launches=launches,
        configs=configs,
        names=tuple(dict.fromkeys(name for row in everything for name in row.config)),
        columns=frozenset(column for row in everything for column in row.metrics)
        | ({"requests"} if any(row.requests for row in everything) else set()),
        levels=tuple(sorted({row.level for row in everything if row.level is not None})),
    )


def _launch(rows: Sequence[Row]) -> RecordedLaunch:
    at_start = next((row for row in rows if is_at_start(row)), None)
    first = at_start or rows[0]
    levels = {row.level: RecordedLevel(row.requests, row.metrics, row.failure) for row in rows if row.level is not None}
    failure: Failure | None = None if at_start is None else at_start.failure
    return RecordedLaunch(first.startup_s, first.gpus, {} if failure else levels, failure)


def _refuse_mixed_units(rows: Sequence[Row]) -> None:
    """Repeats of one measurement lie near one another, unless one is in seconds and the other in ms."""
    seen: dict[tuple[ConfigKey, LoadLevel | None, str], Row] = {}
    for row in rows:
        for column, value in {**row.metrics, "startup_s": row.startup_s}.items():
            other = seen.setdefault((row.key, row.level, column), row)
            known = other.startup_s if column == "startup_s" else other.metrics[column]
            if min(value, known) > 0 and max(value, known) > _MOST_DRIFT * min(value, known):
                rule = f"row {other.number} has {known:g} for the same Config and level: in another unit?"
                refuse(f"row {row.number}, column {column}", rule, value=value)


# ── files ─────────────────────────────────────────────────────────────────────────────────────


def _cells(path: Path) -> Iterator[dict[str, Any]]:
    """Rows as maps from column to value."""
    name = path.name.lower()
    if not name.endswith(SUFFIXES):
        refuse(str(path), f"a file that ends in {', '.join(SUFFIXES)}")
    try:
        rows = _of_parquet(path) if name.endswith(".parquet") else _of_text(path)
        yield from rows
    except (OSError, ValueError, EOFError) as error:
        refuse(str(path), f"can't be read: {' '.join(str(error).split())}")


def _of_parquet(path: Path) -> Iterator[dict[str, Any]]:
    from pyarrow import parquet

    yield from parquet.read_table(path).to_pylist()


def _of_text(path: Path) -> Iterator[dict[str, Any]]:
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    if ".csv" in path.suffixes:
        yield from csv.DictReader(io.StringIO(text))
        return
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                refuse(f"row {number}", "a map from column to value")
            yield row
