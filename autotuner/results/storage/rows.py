"""Records to database rows and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from typing import Any

from autotuner.errors import Failure
from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.metrics.measurement import Measurement
from autotuner.metrics.request import TokensBy
from autotuner.results.records import (
    FailureRecord,
    Phase,
    PointFailure,
    RungRecord,
    StudyRecord,
    StudyStatus,
    TrialRecord,
    TrialState,
    Usage,
)
from autotuner.results.storage.score_json import decode_score, encode_score

_LOAD_KINDS = {kind.value: kind for kind in LoadKind}  # an enum's own call takes ten times as long
_TOKENS_BY = {by.value: by for by in TokensBy}
_TRIAL_COLUMNS = tuple(f.name for f in fields(TrialRecord) if f.name not in ("config", "asked", "usage", "hold"))


def usage_columns(usage: Usage) -> dict[str, float]:
    return asdict(usage)


def study_record(row: Any) -> StudyRecord:
    values = {f.name: getattr(row, f.name) for f in fields(StudyRecord)}
    return StudyRecord(**values | {"status": StudyStatus(row.status)})


def trial_row(record: TrialRecord) -> dict[str, Any]:
    row = {name: getattr(record, name) for name in _TRIAL_COLUMNS}
    asked = None if record.asked is None else dict(record.asked)
    return row | {"config": dict(record.config), "asked": asked} | usage_columns(record.usage)


def trial_record(row: Any) -> TrialRecord:
    values = {name: getattr(row, name) for name in _TRIAL_COLUMNS}
    typed = {
        "phase": Phase(row.phase),
        "state": TrialState(row.state),
        "failure": row.failure and Failure(row.failure),
        "config": row.config,
        "asked": row.asked,
        "usage": _usage(row),
    }
    return TrialRecord(**values | typed)


def rung_row(record: RungRecord) -> dict[str, Any]:
    return {
        "trial_id": record.trial_id,
        "rung": record.rung,
        "launch_id": record.launch_id,
        "score": record.score.score,
        "feasible": record.score.feasible,
        "slo_met": record.score.slo_met,
        "score_detail": encode_score(record.score),
        "ended_at": record.ended_at,
        **usage_columns(record.usage),
    }


def measurement_rows(record: RungRecord) -> Iterator[dict[str, Any]]:
    for position, measurement in enumerate(record.measurements):
        yield {
            "trial_id": record.trial_id,
            "rung": record.rung,
            "position": position,
            "load_kind": measurement.level.kind.value,
            "level": measurement.level.value,
            "requests": measurement.requests,
            "errors": measurement.errors,
            "stopped_early": measurement.stopped_early,
            "metrics": dict(measurement.metrics),
            "tokens_by": measurement.tokens_by,
            "notes": list(measurement.notes),
            "disturbed": measurement.disturbed,
        }


def rung_records(rungs: Sequence[Any], measurements: Sequence[Any], failures: Sequence[Any]) -> list[RungRecord]:
    """Joins the rows of the three tables; failures of a launch (no rung) belong to no rung."""
    measured = defaultdict(list)
    for row in measurements:
        level = LoadLevel(_LOAD_KINDS[row.load_kind], row.level)
        measured[row.trial_id, row.rung].append(
            Measurement(
                level,
                row.requests,
                row.errors,
                row.metrics,
                stopped_early=row.stopped_early,
                tokens_by=_TOKENS_BY.get(row.tokens_by),
                notes=tuple(row.notes or ()),
                disturbed=row.disturbed or "",
            )
        )
    failed = defaultdict(list)
    for row in failures:
        if row.level is not None:
            failed[row.trial_id, row.rung].append(PointFailure(row.level, Failure(row.failure), row.message))
    return [
        RungRecord(
            trial_id=row.trial_id,
            rung=row.rung,
            launch_id=row.launch_id,
            score=decode_score(row.score_detail),
            measurements=tuple(measured[row.trial_id, row.rung]),
            ended_at=row.ended_at,
            usage=_usage(row),
            failures=tuple(failed[row.trial_id, row.rung]),
        )
        for row in rungs
    ]


def failure_record(row: Any) -> FailureRecord:
    values = {f.name: getattr(row, f.name) for f in fields(FailureRecord)}
    return FailureRecord(**values | {"failure": Failure(row.failure)})


def _usage(row: Any) -> Usage:
    return Usage(row.reserved_s, row.loading_s, row.measuring_s, row.warmup_s or 0.0)
