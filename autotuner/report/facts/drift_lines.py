"""What the default showed each time that it was measured again, in a table and in words."""

from __future__ import annotations

import time
from collections.abc import Iterator

from autotuner.report.facts.finalists import gain_text
from autotuner.report.facts.measured import Table
from autotuner.report.labels import metric_label, short_label
from autotuner.report.text import duration, number, percent
from autotuner.results.finals.ratio import as_ratio
from autotuner.results.result import StudyResults


def drift_lines(results: StudyResults) -> Iterator[str]:
    """Each time that the default came to be faster or slower; nothing where it stayed as it was."""
    for shift in results.shifts:
        yield (
            f"The machine did not stay as it was: on {shift.node or 'its node'} the default's "
            f"{metric_label(results, shift.metric)} changed by {gain_text(shift.ratio, shift.ci95)} between "
            f"{_clock(shift.from_s)} and {_clock(shift.to_s)} (trial {shift.trial_id}). What the search made of "
            "scores, and the choice of the best, allow for that; figures are as they were measured."
        )


def references_table(results: StudyResults) -> Table | None:
    """``None`` where it was not measured again."""
    first, *later = results.drift.runs or [None]
    if first is None or not later:
        return None
    column, direction = results.objective.column, results.objective.direction
    rows = []
    for run in (first, *later):
        if run.good is None:
            continue
        value, _ = as_ratio(run.good, None, direction)
        over = (
            "" if run is first or first.good is None else percent(as_ratio(run.good - first.good, None, direction)[0])
        )
        rows.append((run.trial_id, f"+ {duration(run.at_s - first.at_s)}", run.node, number(value), over))
    columns = ("trial", "ended", "node", short_label(results, column), "over the first")
    source = "of one run each, at the load level that all of them measured"
    return Table("The default, measured again while the search went on", source, columns, tuple(rows))


def _clock(epoch_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(epoch_s))
