"""report.xlsx: the tables of a study as one workbook."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from autotuner.errors import MissingExtraError
from autotuner.results.result import StudyResults

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_LONGEST_CELL = 32_000  # Excel's own limit is 32,767


def write_workbook(results: StudyResults, path: str | Path) -> Path:
    """Writes summary, trials, rungs, measurements, pareto and failures, a sheet each; returns its path.

    Raises MissingExtraError without openpyxl.
    """
    try:
        from openpyxl import Workbook
    except ImportError as error:
        raise MissingExtraError(
            "a workbook needs openpyxl: pip install 'autotuner-llm[xlsx]'",
            key="format",
            value="xlsx",
            rule="the extra xlsx is installed",
        ) from error

    book = Workbook(write_only=True)
    for name, rows in _sheets(results):
        sheet = book.create_sheet(name)
        sheet.freeze_panes = "A2"
        for row in rows:
            sheet.append([_cell(sheet, value) for value in row])
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f".{place.name}.tmp")
    book.save(temporary)
    temporary.replace(place)
    return place


def _sheets(results: StudyResults) -> Iterator[tuple[str, Iterator[list[Any]]]]:
    yield "summary", _pairs(results.summary)
    for name in ("trials", "rungs", "measurements", "pareto"):
        yield name, _frame(getattr(results, name))
    yield "failures", _failures(results)


def _pairs(summary: Mapping[str, Any], prefix: str = "") -> Iterator[list[Any]]:
    if not prefix:
        yield ["key", "value"]
    for key, value in summary.items():
        if isinstance(value, Mapping) and value:
            yield from _pairs(value, f"{prefix}{key}.")
        else:
            yield [f"{prefix}{key}", value]


def _frame(frame: Any) -> Iterator[list[Any]]:
    yield list(frame.columns)
    yield from (list(row) for row in frame.itertuples(index=False, name=None))


def _failures(results: StudyResults) -> Iterator[list[Any]]:
    yield ["trial_id", "rung", "level", "failure", "message", "at", "log_tail"]
    for failure in results.failures:
        row = asdict(failure)
        yield [row[k] for k in ("trial_id", "rung", "level", "failure", "message", "at", "log_tail")]


def _cell(sheet: Any, value: Any) -> Any:
    """Text stays text: a value that begins with ``=`` is no formula."""
    from openpyxl.cell import WriteOnlyCell

    if isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if value is None or isinstance(value, float) or str(value) == "<NA>":
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_plain)
    cell = WriteOnlyCell(sheet, _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)[:_LONGEST_CELL])
    cell.data_type = "s"
    return cell


def _plain(value: Any) -> Any:
    """numpy's scalars as Python's, all else as text."""
    return value.item() if hasattr(value, "item") else str(value)
