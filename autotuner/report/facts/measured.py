"""What best and default measured, load level by load level: metrics, and how they stand to the SLOs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autotuner.metrics.load_level import LoadLevel
from autotuner.report.facts.evidence import BothEvidence, Evidence, find_evidence
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
    columns = [c for c in wanted if any(s.values(level, c) for s in found.sides for level in found.levels)]
    some_lack = any(side.measured(level) < len(side.runs) for side in found.sides for level in found.levels)
    rows = tuple(
        (
            str(level),
            side.who,
            *([f"{side.measured(level)} of {len(side.runs)}"] if some_lack else []),
            *(_mean_text(side, level, column) for column in columns),
        )
        for level in found.levels
        for side in found.sides
    )
    counted = ["rounds" if found.rounds > 1 else "measured"] if some_lack else []
    heads = ("load point", "Config", *counted, *(short_label(results, c) for c in columns))
    return Table("Measured", found.source, heads, rows, tuple(_notes(found)))


def slo_table(results: StudyResults) -> Table | None:
    """A row an SLO, load level and Config; ``None`` where the study has none, or nothing was measured."""
    found = find_evidence(results)
    if found is None or not results.study.slo.terms():
        return None
    rows = (*_term_rows(results, found), *_kept_rows(found))
    return Table("SLOs", found.source, ("SLO", "limit", "load point", "Config", "value", "margin"), rows)


def kept_up_to(side: Evidence) -> str:
    """The highest load at which, and below, one server keeps every SLO: ``concurrency 8``."""
    highest = side.kept_up_to()
    return "none measured" if highest is None else str(LoadLevel(highest.kind, highest.value / side.replicas))


def is_kept_throughout(side: Evidence) -> bool:
    """Whether more load than was measured might be kept as well."""
    return bool(side.judged_levels) and side.kept_up_to() == side.judged_levels[-1]


def _mean_text(side: Evidence, level: LoadLevel, column: str) -> str:
    """The mean of the runs that have it, ``42 (1 of 2)`` where some measured the load level without it."""
    having, measured = len(side.values(level, column)), side.measured(level)
    told = number(side.metric(level, column))
    return told if having in (0, measured) else f"{told} ({having} of {measured})"


def _notes(found: BothEvidence) -> Iterator[str]:
    """What load levels lack, and what was noted of the answers."""
    told = [*_gap_notes(found), *_infeasible_notes(found), *_answer_notes(found)]
    yield from told[:_MOST_NOTES]
    if len(told) > _MOST_NOTES:
        yield f"{len(told) - _MOST_NOTES} more in measurements.csv"


def _gap_notes(found: BothEvidence) -> Iterator[str]:
    for side in found.sides:
        for gap in side.gaps:
            yield f"{side.who}, {gap.level}, not measured in trial {gap.trial_id}: {gap.failure}: {gap.message}"


def _infeasible_notes(found: BothEvidence) -> Iterator[str]:
    """Why load points count as infeasible that are over no SLO."""
    told = {
        f"{side.who}, {point.level}: infeasible: {point.reason}": None
        for side in found.sides
        for level in found.levels
        for point in side.points(level)
        if not point.feasible and not point.violations
    }
    yield from told


def _answer_notes(found: BothEvidence) -> Iterator[str]:
    """Once for all the levels and sides that a note holds for."""
    noted: dict[str, dict[str, list[LoadLevel]]] = {}
    for side in found.sides:
        for run in side.runs:
            for measurement in run.measurements:
                for note in measurement.notes:
                    levels = noted.setdefault(note, {}).setdefault(side.who, [])
                    if measurement.level not in levels:
                        levels.append(measurement.level)
    for note, sides in noted.items():
        where = "; ".join(f"{who}, {levels_text(levels)}" for who, levels in sides.items())
        yield f"{where}: {note}"


def _limits(results: StudyResults, found: BothEvidence) -> Iterator[_Limit]:
    slo = results.study.slo
    for metric, statistic, term in slo.terms():
        yield _Limit(f"{metric}_{statistic}_ms", f"{metric.upper()} {statistic}", term.threshold_ms, "ms")
    if any(side.metric(level, _ERRORS) for side in found.sides for level in found.levels):
        yield _Limit(_ERRORS, "error rate", 100 * slo.error_rate, "%", 100)


def _term_rows(results: StudyResults, found: BothEvidence) -> Iterator[tuple[str, ...]]:
    for limit in _limits(results, found):
        for level in found.levels:
            for side in found.sides:
                cells = _value_and_margin(side, level, limit)
                yield (limit.label, f"{number(limit.limit)} {limit.unit}", str(level), side.who, *cells)


def _value_and_margin(side: Evidence, level: LoadLevel, limit: _Limit) -> tuple[str, str]:
    value, having = side.metric(level, limit.column), len(side.values(level, limit.column))
    if value is None:
        return "–", "no value" if side.measured(level) else "not measured"
    told = value * limit.factor
    if limit.limit:
        share = percent(told / limit.limit).lstrip("+−")
        margin = f"{share} {'over' if told > limit.limit else 'below'}"
    else:
        margin = "kept" if told <= 0 else "over"
    if unsure := side.unsure(level, limit.column):
        margin += ", unsure" if having == 1 else f", unsure in {unsure} of {having} rounds"
    return number(told), margin if having == len(side.runs) else f"{margin}, {having} of {len(side.runs)} rounds"


def _kept_rows(found: BothEvidence) -> Iterator[tuple[str, ...]]:
    for level in found.levels:
        for side in found.sides:
            yield ("all of them", "", str(level), side.who, *_kept(side, level))


def _kept(side: Evidence, level: LoadLevel) -> tuple[str, str]:
    """``kept``, ``missed``, and of which runs: only those are counted in which it is known."""
    kept, judged, runs = side.kept(level), side.judged(level), len(side.runs)
    if not judged:
        return "–", "not measured"
    told = "kept" if kept else _how_not_kept(side, level)
    measured = "" if judged == runs else f"{judged} of {runs} rounds measured"
    if 0 < kept < judged:
        return told, f"in {kept} of {measured or f'{runs} rounds'}"
    return told, measured


def _how_not_kept(side: Evidence, level: LoadLevel) -> str:
    """``infeasible``: given up, or without answers that count, whatever those before it took."""
    points = side.points(level)
    if not points:
        return "failed"
    return "missed" if any(point.violations for point in points) else "infeasible"
