"""Rows that tell what a study spends: its lives, and what each trial reserves.

A trial's ``reserved_s`` grows while it holds what it reserves, whether or not its process lives to tell of it: the
driver notes when it handed it out and when it got it back, and that it still lives. A life that was killed ends at the
last that is known of it, a note of its driver or of a trial: for its wall clock, and for what its trials held.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from autotuner.results.records import Hold, LifeRecord, TrialRecord
from autotuner.results.storage import schema as _schema

_TRIALS, _HOLDS, _LIVES = _schema.trials, _schema.holds, _schema.lives


def end_killed_life(connection: sa.Connection, study_id: str) -> None:
    """What a life that was killed left held is counted until it was last seen."""
    lives = read_lives(connection, study_id)
    if lives and lives[-1].ended_at is None:
        end_life(connection, study_id, lives[-1].seen_at)


def begin_life(connection: sa.Connection, study_id: str, began_at: float) -> None:
    """Another life, with what had been spent before it."""
    held = sa.func.coalesce(_HOLDS.c.gpus, _TRIALS.c.gpus), sa.func.coalesce(_HOLDS.c.cpus, _TRIALS.c.cpus)
    joined = _TRIALS.outerjoin(
        _HOLDS, sa.and_(_HOLDS.c.study_id == _TRIALS.c.study_id, _HOLDS.c.trial_id == _TRIALS.c.trial_id)
    )
    sums = [sa.func.coalesce(sa.func.sum(count * _TRIALS.c.reserved_s), 0.0) for count in held]
    gpu_s, cpu_s = connection.execute(sa.select(*sums).select_from(joined).where(_TRIALS.c.study_id == study_id)).one()
    number = len(read_lives(connection, study_id)) + 1
    life = LifeRecord(number, began_at, began_at, None, gpu_s, cpu_s)
    connection.execute(_LIVES.insert().values(study_id=study_id, **vars(life)))


def end_life(connection: sa.Connection, study_id: str, at: float) -> None:
    """No trial holds anything after ``at``."""
    query = sa.select(_HOLDS.c.trial_id).where(_HOLDS.c.study_id == study_id, _HOLDS.c.held_since.is_not(None))
    for trial_id in connection.execute(query).scalars().all():
        let_go(connection, study_id, trial_id, at)
    values = {"seen_at": at, "ended_at": at}
    connection.execute(_LIVES.update().where(_LIVES.c.study_id == study_id, _LIVES.c.ended_at.is_(None)).values(values))


def note_alive(connection: sa.Connection, study_id: str, now: float) -> None:
    is_open = sa.and_(_LIVES.c.study_id == study_id, _LIVES.c.ended_at.is_(None), _LIVES.c.seen_at < now)
    connection.execute(_LIVES.update().where(is_open).values(seen_at=now))


def take_hold(connection: sa.Connection, study_id: str, trial_id: str, at: float, size: Hold) -> None:
    """The trial holds ``size`` from now on."""
    note_alive(connection, study_id, at)
    reserved_s = connection.execute(_of(sa.select(_TRIALS.c.reserved_s), _TRIALS, study_id, trial_id)).scalar_one()
    connection.execute(_of(_HOLDS.delete(), _HOLDS, study_id, trial_id))
    row = {"study_id": study_id, "trial_id": trial_id, "gpus": size.gpus, "cpus": size.cpus}
    connection.execute(_HOLDS.insert().values(**row, held_since=at, held_before_s=reserved_s))


def hold_again(connection: sa.Connection, study_id: str, trial_id: str, since: float) -> None:
    """After a pause; ``since``: now, less the seconds for which it was held before the pause."""
    connection.execute(_of(_HOLDS.update(), _HOLDS, study_id, trial_id).values(held_since=since))


def let_go(connection: sa.Connection, study_id: str, trial_id: str, at: float, held_s: float | None = None) -> None:
    """The trial holds nothing from ``at`` on; ``held_s``: for how long it did, where that was measured."""
    note_alive(connection, study_id, at)
    columns = (_HOLDS.c.held_since, _HOLDS.c.held_before_s, _TRIALS.c.reserved_s)
    query = sa.select(*columns).where(_HOLDS.c.study_id == _TRIALS.c.study_id, _HOLDS.c.trial_id == _TRIALS.c.trial_id)
    row = connection.execute(_of(query, _TRIALS, study_id, trial_id)).first()
    if row is None or (row.held_since is None and held_s is None):
        return
    if held_s is None:
        held_s = max(0.0, at - row.held_since)
    reserved_s = max(row.reserved_s, row.held_before_s + held_s)
    connection.execute(_of(_TRIALS.update(), _TRIALS, study_id, trial_id).values(reserved_s=reserved_s))
    connection.execute(_of(_HOLDS.update(), _HOLDS, study_id, trial_id).values(held_since=None))


def read_lives(connection: sa.Connection, study_id: str) -> list[LifeRecord]:
    if not sa.inspect(connection).has_table(_LIVES.name):
        return []
    query = sa.select(_LIVES).where(_LIVES.c.study_id == study_id).order_by(_LIVES.c.life)
    rows = connection.execute(query).mappings().all()
    lives = [LifeRecord(**{name: row[name] for name in LifeRecord.__dataclass_fields__}) for row in rows]
    if lives and lives[-1].ended_at is None:
        lives[-1] = replace(lives[-1], seen_at=max(lives[-1].seen_at, _trials_seen_at(connection, study_id)))
    return lives


def _trials_seen_at(connection: sa.Connection, study_id: str) -> float:
    """The last that trials told by themselves while they held something; 0 without any."""
    if not sa.inspect(connection).has_table(_HOLDS.name):
        return 0.0
    told = _HOLDS.c.held_since + _TRIALS.c.reserved_s - _HOLDS.c.held_before_s
    joined = _HOLDS.join(
        _TRIALS, sa.and_(_HOLDS.c.study_id == _TRIALS.c.study_id, _HOLDS.c.trial_id == _TRIALS.c.trial_id)
    )
    query = sa.select(sa.func.max(told)).select_from(joined)
    return connection.execute(query.where(_HOLDS.c.study_id == study_id)).scalar() or 0.0


def read_holds(connection: sa.Connection, study_id: str) -> dict[str, Any]:
    """The row of each trial that has one."""
    if not sa.inspect(connection).has_table(_HOLDS.name):
        return {}
    rows = connection.execute(sa.select(_HOLDS).where(_HOLDS.c.study_id == study_id)).all()
    return {row.trial_id: row for row in rows}


def with_hold(record: TrialRecord, hold: Any | None, until: float | None) -> TrialRecord:
    """The trial with what it reserves, and what it has used ``until`` then, in epoch seconds."""
    if hold is None:
        return record
    reserved_s = record.usage.reserved_s
    if hold.held_since is not None and until is not None:
        reserved_s = max(reserved_s, hold.held_before_s + max(0.0, until - hold.held_since))
    held = Hold(hold.gpus, hold.cpus, hold.held_since)
    return replace(record, usage=replace(record.usage, reserved_s=reserved_s), hold=held)


def _of(statement: Any, table: sa.Table, study_id: str, trial_id: str) -> Any:
    return statement.where(table.c.study_id == study_id, table.c.trial_id == trial_id)
