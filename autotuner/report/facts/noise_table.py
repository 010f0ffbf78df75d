"""By how much runs of one Config differ, metric by metric, in a table and in words."""

from __future__ import annotations

from collections.abc import Iterator

from autotuner.report.facts.measured import Table
from autotuner.report.labels import short_label
from autotuner.report.text import number
from autotuner.results.result import StudyResults

_MOST_TOLD = 4
_SOURCE = (
    "standard deviations of one run, of logarithms, so that a small one is a share of the value. They are pooled over "
    "all load levels and over Configs that ran more than once: what is left of fresh runs once each Config and each "
    "round has its own mean, what runs beside the search are off one another, and their mean off that of fresh ones"
)


def noise_table(results: StudyResults) -> Table | None:
    """``None`` where nothing was measured twice."""
    if not results.noise:
        return None
    columns = ("metric", "one run", "degrees of freedom", "Configs", "runs")
    rows = tuple(
        (short_label(results, n.metric), _share(n.deviation), str(n.freedom), str(n.configs), str(n.runs))
        for n in results.noise
    )
    return Table("How much the same Config differs from run to run", _SOURCE, columns, rows)


def noise_lines(results: StudyResults) -> Iterator[str]:
    """The first few of them in a sentence; nothing where nothing was measured twice."""
    if results.noise:
        told = ", ".join(f"{short_label(results, n.metric)} {_share(n.deviation)}" for n in results.noise[:_MOST_TOLD])
        yield f"From run to run of one Config, metric by metric (standard deviation of one run): {told}."


def _share(deviation: float) -> str:
    return f"{number(round(100 * deviation, 4))}\N{NO-BREAK SPACE}%"  # of equal values the last bits may differ
