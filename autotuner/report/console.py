"""The closing table of a study, for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from autotuner.report.facts.champion import champion_name
from autotuner.report.facts.flag_words import WORTH
from autotuner.report.facts.measured import Table as MeasuredTable
from autotuner.report.facts.measured import measured_table, slo_table
from autotuner.report.facts.summary_facts import config_rows, facts
from autotuner.report.facts.verdict import Tone, verdict
from autotuner.results.result import StudyResults

_WHOLE = ("SLO", "limit", "load point", "Config", "value")  # columns that are read at a glance
_STYLES = {Tone.GOOD: "bold green", Tone.NEUTRAL: "bold yellow", Tone.BAD: "bold red"}


def print_summary(results: StudyResults, console: Console | None = None) -> None:
    """Prints what was found, best beside default, and what it cost; to standard output by default."""
    out = console or Console()
    found = verdict(results)
    out.print(Text(found.headline, style=_STYLES[found.tone]))
    for line in found.details:
        out.print(Text(line))
    if config_rows(results):
        out.print()
        out.print(_pair_table(results))
    for table in (measured_table(results), slo_table(results)):
        if table is not None:
            out.print()
            out.print(Text(f"{table.title}: {table.source}", style="dim"))
            out.print(_as_rich(table))
            for told in table.notes:
                out.print(Text(f"Note: {told}"))
    out.print()
    for fact in facts(results):
        out.print(Text(f"{fact.label}: {fact.value}" + (f" ({fact.note})" if fact.note else "")))


def _pair_table(results: StudyResults) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    rows = config_rows(results)
    has_worth = any(row.worth for row in rows)
    for heading in ("", champion_name(results), "default", *([WORTH] if has_worth else [])):
        table.add_column(heading, overflow="fold")
    for row in rows:
        best = Text(row.best, style="green" if row.differs else "")
        table.add_row(Text(row.name), best, Text(row.default), *([Text(row.worth)] if has_worth else []))
    return table


def _as_rich(table: MeasuredTable) -> Table:
    shown = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    for column in table.columns:
        shown.add_column(column, overflow="fold", no_wrap=column in _WHOLE)
    for row in table.rows:
        shown.add_row(*map(Text, row))
    return shown
