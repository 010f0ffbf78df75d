"""Printing: a JSON document or text on stdout, notes on stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


def print_json(document: Any) -> None:
    """One document; NaN, which JSON lacks, becomes null."""
    print(json.dumps(_plain(document), indent=2, default=str))


def note(text: str) -> None:
    print(text, file=sys.stderr)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(escape(column))
    for row in rows:
        table.add_row(*(escape(_cell(value)) for value in row))
    console().print(table)


def console() -> Console:
    """On standard output, as wide as the terminal; into a pipe, wide enough for most."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 160)


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and callable(value.item) and not hasattr(value, "__len__"):
        return _plain(value.item())  # a numpy scalar
    return value
