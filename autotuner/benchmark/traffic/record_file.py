"""Files of records: JSONL (a record a line), a JSON array, or a table (CSV)."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autotuner.errors import WorkloadError

_MOST_SHOWN = 80
_MOST_DIGITS = 20
_OTHER_FILES = {  # first bytes → what it is, and how it becomes text
    b"\x1f\x8b": "gzip: unpack it with gunzip",
    b"\x28\xb5\x2f\xfd": "Zstandard: unpack it with unzstd",
    b"PK\x03\x04": "a zip archive: unpack it with unzip",
    b"PAR1": "Parquet: in Python pandas.read_parquet('IN').to_json('OUT', orient='records', lines=True) converts it",
    b"\xff\xfe": "UTF-16 text: iconv -f UTF-16 -t UTF-8 IN > OUT",
    b"\xfe\xff": "UTF-16 text: iconv -f UTF-16 -t UTF-8 IN > OUT",
}
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


@dataclass(frozen=True)
class Record:
    """``place`` is where it stands in its file, for people: ``line 3``."""

    place: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class RecordFile:
    """The records of the file at ``path``, which the study names under ``key``."""

    path: str
    key: str

    def read(self) -> list[Record]:
        """Raises WorkloadError with the file, the line and what was found."""
        text = self._text()
        first = text.lstrip()[:1]
        if first == "":
            raise self.error(None, "an empty file", "at least one line")
        if first == "[":
            return list(self._items(text))
        return list(self._lines(text) if first == "{" else self._rows(text))

    def error(self, place: str | None, found: object, rule: str) -> WorkloadError:
        where = self.path if place is None else f"{self.path}, {place}"
        shown = found if isinstance(found, str) else repr(found)
        shown = shown if len(shown) <= _MOST_SHOWN else shown[: _MOST_SHOWN - 1] + "…"
        return WorkloadError(f"{self.key}: {where}: {shown}: {rule}", key=self.key, value=found, rule=rule)

    def _text(self) -> str:
        """Without a byte order mark."""
        try:
            data = Path(self.path).read_bytes()
        except OSError as error:
            raise self.error(None, error.strerror or "unreadable", "a file that can be read") from error
        for start, what in _OTHER_FILES.items():
            if data.startswith(start):
                raise self.error(None, what.partition(":")[0], f"JSONL or CSV, as UTF-8 text; this is {what}")
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            number = data.count(b"\n", 0, error.start) + 1
            raise self.error(f"line {number}", f"byte 0x{data[error.start]:02x}", "UTF-8 text") from error

    def _lines(self, text: str) -> Iterator[Record]:
        """Only a line feed ends a line: JSON allows all other breaks (U+2028, U+0085, …) inside its strings."""
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip():
                yield self._record(f"line {number}", self._parsed(line, f"line {number}"))

    def _items(self, text: str) -> Iterator[Record]:
        first_line = text.lstrip().partition("\n")[0]
        data = self._parsed(text, None if first_line.strip() == "[" else "line 1")
        if not data:
            raise self.error(None, "an empty list", "at least one record")
        for number, item in enumerate(data, start=1):
            yield self._record(f"item {number}", item)

    def _rows(self, text: str) -> Iterator[Record]:
        rows = csv.reader(io.StringIO(text, newline=""))
        header: list[str] = []
        found = False
        try:
            for row in rows:
                if not any(cell.strip() for cell in row):
                    continue
                place = f"line {rows.line_num}"
                if not header:
                    header = self._header(row, place)
                elif len(row) != len(header):
                    raise self.error(place, f"{len(row)} values", f"{len(header)} values, as the header has names")
                else:
                    found = True
                    yield Record(place, dict(zip(header, map(_cell, row), strict=True)))
        except csv.Error as error:
            raise self.error(f"line {rows.line_num}", str(error), "a table (CSV)") from error
        if not found:
            raise self.error(None, "a header alone", "at least one line after it")

    def _header(self, row: list[str], place: str) -> list[str]:
        names = [name.strip() for name in row]
        if len(names) < 2 or len(set(names)) < len(names):
            raise self.error(place, ",".join(row), "one JSON object a line, or the header of a table (CSV)")
        return names

    def _parsed(self, text: str, place: str | None) -> Any:
        try:
            return json.loads(text, parse_int=_whole)
        except json.JSONDecodeError as error:
            place = place or f"line {error.lineno}"
            raise self.error(place, text.strip(), f"one JSON object a line ({error.msg})") from error
        except (ValueError, RecursionError) as error:
            raise self.error(place, text.strip(), f"one JSON object a line ({error})") from error

    def _record(self, place: str, value: Any) -> Record:
        if not isinstance(value, dict):
            raise self.error(place, value, "one JSON object a line")
        return Record(place, value)


def _cell(text: str) -> Any:
    """A number where it is one: JSON tells the two apart, a table does not."""
    text = text.strip()
    if _NUMBER.fullmatch(text) is None:
        return text
    return _whole(text) if re.fullmatch(r"[-+]?\d+", text) else float(text)


def _whole(text: str) -> int | float:
    """Beyond all sizes and times a float, which may be infinite: arithmetic with it raises nothing."""
    return int(text) if len(text) <= _MOST_DIGITS else float(text)
