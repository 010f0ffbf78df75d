"""What a study's driver has found out of its cluster: nodes in quarantine, and what others hold."""

from __future__ import annotations

import sqlalchemy as sa

from autotuner.results.records import QuarantineRecord
from autotuner.results.storage import schema as _schema
from autotuner.results.waits import Wait


def add_quarantine(connection: sa.Connection, study_id: str, record: QuarantineRecord) -> None:
    row = {"study_id": study_id, "node": record.node, "reason": record.reason, "at": record.at}
    connection.execute(_schema.quarantines.insert().values(**row))


def read_quarantines(connection: sa.Connection, study_id: str) -> list[QuarantineRecord]:
    """In the order in which they were found."""
    table = _schema.quarantines
    if not sa.inspect(connection).has_table(table.name):
        return []
    query = sa.select(table.c.node, table.c.reason, table.c.at).where(table.c.study_id == study_id)
    return [QuarantineRecord(*row) for row in connection.execute(query.order_by(table.c.id)).all()]


def set_wait(connection: sa.Connection, study_id: str, trial_id: str, wait: Wait | None) -> None:
    """In place of what was known of the same trial's wait."""
    table = _schema.waits
    connection.execute(table.delete().where(table.c.study_id == study_id, table.c.trial_id == trial_id))
    if wait is not None:
        row = {"study_id": study_id, "trial_id": trial_id, "wait": wait.as_dict()}
        connection.execute(table.insert().values(**row))


def end_waits(connection: sa.Connection, study_id: str) -> None:
    """Whoever waited has ended."""
    connection.execute(_schema.waits.delete().where(_schema.waits.c.study_id == study_id))


def read_waits(connection: sa.Connection, study_id: str) -> list[Wait]:
    """What is waited for now, the study's own wait first."""
    table = _schema.waits
    if not sa.inspect(connection).has_table(table.name):
        return []
    query = sa.select(table.c.wait).where(table.c.study_id == study_id).order_by(table.c.trial_id)
    return [Wait.from_dict(found) for found in connection.execute(query).scalars()]
