"""docs/benchmarks.md: tables between markers, each written by its benchmark, with when and on what it was measured."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
_TABLE = re.compile(r"<!-- measured: (?P<name>\w+) -->\n(?P<text>.*?)<!-- /measured -->", re.DOTALL)
_WHEN = re.compile(r"^Measured on (?P<when>\d{4}-\d\d-\d\d \d\d:\d\d) UTC", re.MULTILINE)
_WHEN_FORMAT = "%Y-%m-%d %H:%M"


@dataclass(frozen=True)
class Measured:
    """``table`` is what the benchmark printed; ``machine`` one line; ``began`` when it was started."""

    name: str
    command: str
    table: str
    machine: str
    began: datetime
    minutes: float
    within_bounds: bool

    @property
    def text(self) -> str:
        """What stands between the markers."""
        when = self.began.astimezone(UTC).strftime(_WHEN_FORMAT)
        verdict = "" if self.within_bounds else " Not within its bounds."
        line = f"Measured on {when} UTC by `{self.command}`, {self.minutes:.1f} min, on {self.machine}.{verdict}"
        return f"{line}\n\n```text\n{self.table.rstrip()}\n```\n"


def names_in(page: str) -> list[str]:
    """The tables that a page has, in its order."""
    return [found["name"] for found in _TABLE.finditer(page)]


def outside(page: str) -> str:
    """The page without what is measured."""
    return _TABLE.sub("", page)


def when_measured(page: str) -> dict[str, datetime]:
    """When each table was measured; those that don't say are left out."""
    found = {}
    for table in _TABLE.finditer(page):
        if (when := _WHEN.search(table["text"])) is not None:
            found[table["name"]] = datetime.strptime(when["when"], _WHEN_FORMAT).replace(tzinfo=UTC)
    return found


def with_table(page: str, measured: Measured) -> str:
    """The page with one table written anew. Raises ValueError where it has no markers for it, or several."""
    if names_in(page).count(measured.name) != 1:
        raise ValueError(f"docs/benchmarks.md has not one place for {measured.name}: <!-- measured: … -->")

    def written(found: re.Match[str]) -> str:
        if found["name"] != measured.name:
            return found[0]
        return f"<!-- measured: {measured.name} -->\n{measured.text}<!-- /measured -->"

    return _TABLE.sub(written, page)
