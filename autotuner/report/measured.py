"""What best and default measured, load level by load level: metrics, and how they stand to the SLOs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from autotuner.metrics.load_level import LoadLevel
from autotuner.report.evidence import BothEvidence, Evidence, find_evidence
from autotuner.report.labels import short_label
from autotuner.report.text import number, percent
from autotuner.results.result import StudyResults
from autotuner.results.scope import levels_text

_ERRORS = "error_rate"
_MOST_NOTES = 6
_METRICS = ("ttft_p90_ms", "tpot_mean_ms", "output_tokens_per_s", "goodput_per_s", "cost_per_mtok")


@dataclass(frozen=True)
class Table:
    """Every cell is text. ``source`` says in words which runs its figures are from, ``notes`` what they are not."""

    title: str
    source: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Limit:
    """One SLO. ``factor`` turns the metric into what its limit is told in."""

    column: str
    label: str
    limit: float
    unit: str
    factor: float = 1.0


def measured_table(results: StudyResults) -> Table | None:
    """A row a load level and Config; ``None`` where nothing was measured."""
    found = find_evidence(results)
    if found is None:
        return None
    wanted = dict.fromkeys((results.objective.column, *_METRICS))
    columns = [c for c in wanted if any(s.metric(level, c) is not None for s in found.sides for level in found.levels)]
    rows = tuple(
        (str(level), side.who, *(number(side.metric(level, column)) for column in columns))
        for level in found.levels
        for side in found.sides
    )
    heads = ("load point", "Config", *(short_label(results, c) for c in columns))
    return Table("Measured", found.source, heads, rows, tuple(_notes(found)))


def slo_table(results: StudyResults) -> Table | None:
    """A row an SLO and load level; ``None`` where the study has none, or nothing was measured."""
    found = find_evidence(results)
    if found is None or not results.study.slo.terms():
        return None
    heads = ("SLO", "limit", "load point", *(head for side in found.sides for head in (side.who, "margin")))
    rows = (*_term_rows(results, found), *_kept_rows(found))
    return Table("SLOs", found.source, heads, rows)


def kept_up_to(side: Evidence) -> str:
    """The highest load at which, and below, one server keeps every SLO: ``concurrency 8``."""
    highest = side.kept_up_to()
    return "none measured" if highest is None else str(LoadLevel(highest.kind, highest.value / side.replicas))


def is_kept_throughout(side: Evidence) -> bool:
    """Whether more load than was measured might be kept as well."""
    return bool(side.levels) and side.kept_up_to() == side.levels[-1]


def _notes(found: BothEvidence) -> Iterator[str]:
    """What was noted of the answers, once for all the levels and sides that it holds for."""
    noted: dict[str, dict[str, list[LoadLevel]]] = {}
    for side in found.sides:
        for run in side.runs:
            for measurement in run.measurements:
                for note in measurement.notes:
                    levels = noted.setdefault(note, {}).setdefault(side.who, [])
                    if measurement.level not in levels:
                        levels.append(measurement.level)
    for note, sides in islice(noted.items(), _MOST_NOTES):
        where = "; ".join(f"{who}, {levels_text(levels)}" for who, levels in sides.items())
        yield f"{where}: {note}"
    if len(noted) > _MOST_NOTES:
        yield f"{len(noted) - _MOST_NOTES} more in measurements.csv"


def _limits(results: StudyResults, found: BothEvidence) -> Iterator[_Limit]:
    slo = results.study.slo
    for metric, statistic, term in slo.terms():
        yield _Limit(f"{metric}_{statistic}_ms", f"{metric.upper()} {statistic}", term.threshold_ms, "ms")
    if any(side.metric(level, _ERRORS) for side in found.sides for level in found.levels):
        yield _Limit(_ERRORS, "error rate", 100 * slo.error_rate, "%", 100)


def _term_rows(results: StudyResults, found: BothEvidence) -> Iterator[tuple[str, ...]]:
    for limit in _limits(results, found):
        for level in found.levels:
            cells = (cell for side in found.sides for cell in _value_and_margin(side, level, limit))
            yield (limit.label, f"{number(limit.limit)} {limit.unit}", str(level), *cells)


def _value_and_margin(side: Evidence, level: LoadLevel, limit: _Limit) -> tuple[str, str]:
    value = side.metric(level, limit.column)
    if value is None:
        return "–", "not measured"
    told = value * limit.factor
    if not limit.limit:
        return number(told), "kept" if told <= 0 else "over"
    share = percent(told / limit.limit).lstrip("+−")
    return number(told), f"{share} {'over' if told > limit.limit else 'below'}"


def _kept_rows(found: BothEvidence) -> Iterator[tuple[str, ...]]:
    for level in found.levels:
        cells = (cell for side in found.sides for cell in (_kept(side, level), ""))
        yield ("all of them", "", str(level), *cells)


def _kept(side: Evidence, level: LoadLevel) -> str:
    kept, runs = side.kept(level), len(side.runs)
    if runs > 1 and 0 < kept < runs:
        return f"kept in {kept} of {runs} rounds"
    return "kept" if kept else "missed"
