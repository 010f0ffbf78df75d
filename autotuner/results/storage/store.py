"""Store: what has been measured, in a database and in parquet files. One writer."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from autotuner.errors import Failure, FolderError, InfrastructureError
from autotuner.metrics.request import PointRun
from autotuner.results.account import Account, make_account
from autotuner.results.records import (
    FailureRecord,
    Hold,
    LifeRecord,
    QuarantineRecord,
    RungRecord,
    StudyRecord,
    StudyStatus,
    TrialEnd,
    TrialRecord,
    TrialState,
    Usage,
)
from autotuner.results.storage import notices as _notices
from autotuner.results.storage import rows as _rows
from autotuner.results.storage import schema as _schema
from autotuner.results.storage import spending as _spending
from autotuner.results.storage.database import connect
from autotuner.results.storage.requests_file import read_requests, requests_file_name, write_requests
from autotuner.results.storage.rows import usage_columns
from autotuner.results.storage.telemetry_file import read_telemetry, telemetry_file_name, write_telemetry
from autotuner.results.waits import Wait

_log = logging.getLogger(__name__)


class Store:
    """The results of one study in the database at ``url``, its raw requests as files under ``requests_dir``,
    what servers and GPUs told meanwhile in the folder ``telemetry`` beside it.

    One process writes. Each write is one transaction and is on disk when the method returns; writing the same
    thing twice changes nothing and returns ``False``, so that a caller may repeat what it is unsure of. Raises
    FolderError for a database of another study or schema, InfrastructureError when the database fails.
    ``read_only``: for who watches the study run; nothing is made, and the writer is not kept waiting.
    """

    def __init__(self, url: str, requests_dir: Path, *, read_only: bool = False) -> None:
        self._requests_dir = requests_dir
        self._telemetry_dir = requests_dir.with_name("telemetry")
        self._study_id = ""
        self._begins_at: float | None = None  # of a life that is not told of yet
        self._engine = connect(url, read_only=read_only)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._engine.dispose()

    def open_study(self, study_yaml: str, study_id: str, name: str, *, now: float) -> None:
        """Makes what is missing of the tables and the study's row; a study that is known is RUNNING again.

        A life of the study begins, and is told of from its first trial, or its first sign of life, on. What trials held
        when an earlier one was killed is counted.
        """
        self._requests_dir.mkdir(parents=True, exist_ok=True)
        with self._transaction() as connection:
            _schema.metadata.create_all(connection)
            _schema.add_columns(connection)
            versions = connection.execute(sa.select(_schema.schema_info.c.version)).scalars().all()
            if not versions:
                connection.execute(_schema.schema_info.insert().values(version=_schema.SCHEMA_VERSION))
            _schema.check_version(versions)
            self._refuse_other_study(connection, study_id)
            table = _schema.studies
            known = connection.execute(sa.select(table.c.name).where(table.c.study_id == study_id)).first()
            if known is None:
                row = StudyRecord(study_id, name, study_yaml, StudyStatus.RUNNING, "", now)
                connection.execute(table.insert().values(**asdict(row)))
            else:
                values = {"status": StudyStatus.RUNNING, "stop_reason": "", "ended_at": None}
                connection.execute(table.update().where(table.c.study_id == study_id).values(values))
            _spending.end_killed_life(connection, study_id)
            _notices.end_waits(connection, study_id)
        self._study_id = study_id
        self._begins_at = now

    def read_study(self, study_id: str | None = None) -> StudyRecord:
        """Binds the store to a study that is there, for reading; without an id, to the only one."""
        try:
            with self._transaction() as connection:
                _schema.check_version(connection.execute(sa.select(_schema.schema_info.c.version)).scalars().all())
                query = sa.select(_schema.studies).order_by(_schema.studies.c.created_at)
                if study_id is not None:
                    query = query.where(_schema.studies.c.study_id == study_id)
                rows = connection.execute(query).all()
        except InfrastructureError as error:
            raise FolderError(f"{self._place}: no results can be read there: {error}") from error
        if len(rows) != 1:
            raise FolderError(f"{self._place} holds {len(rows)} studies{f' with id {study_id}' if study_id else ''}")
        record = _rows.study_record(rows[0])
        self._study_id = record.study_id
        return record

    def find_study(self, study_id: str) -> StudyRecord | None:
        """As ``read_study``; ``None`` where nothing of it is stored yet."""
        with self._transaction() as connection:
            if not sa.inspect(connection).has_table(_schema.studies.name):
                return None
            query = sa.select(_schema.studies.c.study_id).where(_schema.studies.c.study_id == study_id)
            is_there = connection.execute(query).first() is not None
        return self.read_study(study_id) if is_there else None

    def end_study(self, status: StudyStatus, stop_reason: str, *, now: float) -> None:
        """How the study's present life ended, and why; no trial holds anything after it."""
        table = _schema.studies
        values = {"status": status, "stop_reason": stop_reason, "ended_at": now}
        with self._transaction() as connection:
            connection.execute(table.update().where(table.c.study_id == self._study_id).values(values))
            _spending.end_life(connection, self._study_id, now)
            _notices.end_waits(connection, self._study_id)

    def note_alive(self, *, now: float) -> None:
        """The driver lives: should it be killed, what its trials hold is counted up to ``now`` at least."""
        with self._transaction() as connection:
            self._begin_life(connection)
            _spending.note_alive(connection, self._study_id, now)

    def lives(self) -> list[LifeRecord]:
        """The study's lives, in order."""
        with self._transaction() as connection:
            return _spending.read_lives(connection, self._study_id)

    def add_trial(self, record: TrialRecord) -> bool:
        """The trial's row, once."""
        table = _schema.trials
        with self._transaction() as connection:
            if connection.execute(self._of_trial(sa.select(table.c.trial_id), table, record.trial_id)).first():
                return False
            count = connection.execute(
                sa.select(sa.func.count()).select_from(table).where(table.c.study_id == self._study_id)
            ).scalar_one()
            row = _rows.trial_row(record)
            connection.execute(table.insert().values(study_id=self._study_id, position=count, **row))
        return True

    def account(self, *, now: float | None = None) -> Account:
        """What the study has spent: up to ``now`` where its driver lives, else for as long as it is known to have."""
        return make_account(self.lives(), self.trials(now=now), now=now, begins_at=self._begins_at)

    def take_hold(self, trial_id: str, size: Hold, *, now: float) -> None:
        """The trial holds what it reserves from ``now`` on."""
        with self._transaction() as connection:
            self._begin_life(connection)
            _spending.take_hold(connection, self._study_id, trial_id, now, size)

    def let_go(self, trial_id: str, held_s: float, *, now: float) -> None:
        """The trial holds nothing any more; ``held_s``: seconds for which it did since it took hold, less pauses."""
        with self._transaction() as connection:
            _spending.let_go(connection, self._study_id, trial_id, now, held_s)

    def hold_again(self, trial_id: str, held_s: float, *, now: float) -> None:
        """After a pause, before which it held it for ``held_s``."""
        with self._transaction() as connection:
            _spending.hold_again(connection, self._study_id, trial_id, now - held_s)

    def begin_trial(self, record: TrialRecord) -> None:
        """The trial as the process that runs it tells it: the row is made where there is none yet."""
        if not self.add_trial(record):
            names = ("gpus", "cpus", "replicas", "accelerator", "node")
            self._update_trial(record.trial_id, **{name: getattr(record, name) for name in names})

    def set_config(self, trial_id: str, config: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
        """The Config that runs, where it is not the one that was ``asked`` for."""
        self._update_trial(trial_id, config=dict(config), asked=dict(asked))

    def update_launch(
        self,
        trial_id: str,
        launch_id: str,
        node: str = "",
        startup_s: float | None = None,
        engine_version: str = "",
        accelerator: str = "",
    ) -> None:
        """What is known once the trial's servers are up; of several launches the last stays."""
        self._update_trial(
            trial_id,
            launch_id=launch_id,
            node=node,
            startup_s=startup_s,
            engine_version=engine_version,
            accelerator=accelerator,
        )

    def add_rung(self, record: RungRecord) -> bool:
        """The rung with its measurements, raw requests and samples, once.

        The files are on disk under their names before the row is committed: a row without its files can't be,
        a file without its row is of a cut rung and is replaced when that is repeated.
        """
        trial_id, rung = record.trial_id, record.rung
        table = _schema.rungs
        with self._transaction() as connection:
            query = self._of_trial(sa.select(table.c.rung), table, trial_id).where(table.c.rung == rung)
            if connection.execute(query).first():
                _log.warning("trial %s: rung %d is stored already, not stored again", trial_id, rung)
                return False
        file = requests_file_name(trial_id, rung) if record.runs else ""
        if file:
            write_telemetry(self._telemetry_dir / telemetry_file_name(trial_id, rung), trial_id, rung, record.runs)
            write_requests(self._requests_dir / file, trial_id, rung, record.runs)
        with self._transaction() as connection:
            row = _rows.rung_row(record)
            connection.execute(table.insert().values(study_id=self._study_id, requests_file=file, **row))
            rows = [{"study_id": self._study_id, **row} for row in _rows.measurement_rows(record)]
            if rows:
                connection.execute(_schema.measurements.insert(), rows)
            for failure in record.failures:
                seen = FailureRecord(trial_id, failure.failure, failure.message, record.ended_at, rung, failure.level)
                self._insert_failure(connection, seen)
            connection.execute(self._trial_update(trial_id).values(usage_columns(record.usage)))
        return True

    def end_trial(self, end: TrialEnd) -> bool:
        """The trial's terminal state, once; its failure is kept with the others."""
        with self._transaction() as connection:
            running = _schema.trials.c.state == TrialState.RUNNING.value
            values = {
                "state": end.state.value,
                "ended_at": end.ended_at,
                "failure": end.failure and end.failure.value,
                "message": end.message,
                **usage_columns(end.usage),
            }
            changed = connection.execute(self._trial_update(end.trial_id).where(running).values(values)).rowcount
            if changed and end.failure is not None:
                seen = FailureRecord(end.trial_id, end.failure, end.message, end.ended_at, log_tail=end.log_tail)
                self._insert_failure(connection, seen)
        return bool(changed)

    def note_failure(self, record: FailureRecord) -> None:
        """A failure that ends no trial."""
        with self._transaction() as connection:
            self._insert_failure(connection, record)

    def add_quarantine(self, node: str, reason: str, *, now: float) -> None:
        """A node that gets no further trials."""
        with self._transaction() as connection:
            _notices.add_quarantine(connection, self._study_id, QuarantineRecord(node, reason, now))

    def quarantines(self) -> list[QuarantineRecord]:
        """Nodes that got no further trials, in the order in which that was found."""
        with self._transaction() as connection:
            return _notices.read_quarantines(connection, self._study_id)

    def set_wait(self, trial_id: str, wait: Wait | None) -> None:
        """What a trial waits for now, or, under ``""``, the study for its next one; ``None``: for nothing."""
        with self._transaction() as connection:
            _notices.set_wait(connection, self._study_id, trial_id, wait)

    def waits(self) -> list[Wait]:
        with self._transaction() as connection:
            return _notices.read_waits(connection, self._study_id)

    def set_usage(self, trial_id: str, usage: Usage) -> None:
        """What the trial has used so far, between rungs."""
        self._update_trial(trial_id, **usage_columns(usage))

    def reopen_trial(self, trial_id: str) -> None:
        """A trial that is to be gone on with, after a resume or a failure that is not its own, is RUNNING again."""
        self._update_trial(trial_id, state=TrialState.RUNNING.value, failure=None, message="", ended_at=None)

    def trials(self, *, now: float | None = None) -> list[TrialRecord]:
        """All trials, in the order in which they were added.

        What they hold yet is counted up to ``now`` (epoch seconds), else for as long as the driver is known to live.
        """
        return self._trials(now)

    def trial(self, trial_id: str, *, now: float | None = None) -> TrialRecord | None:
        """One trial, as ``trials`` tells it; ``None`` where it was not added."""
        return next(iter(self._trials(now, trial_id)), None)

    def _trials(self, now: float | None, trial_id: str | None = None) -> list[TrialRecord]:
        with self._transaction() as connection:
            query = self._there(connection, _schema.trials, trial_id).order_by(_schema.trials.c.position)
            rows = connection.execute(query).all()
            holds = _spending.read_holds(connection, self._study_id)
            if now is None:
                lives = _spending.read_lives(connection, self._study_id)
                now = lives[-1].seen_at if lives else None
        return [_spending.with_hold(_rows.trial_record(row), holds.get(row.trial_id), now) for row in rows]

    def rungs(self, trial_id: str | None = None) -> list[RungRecord]:
        """Ended rungs by trial and number, of one trial or of all: scores, measurements and failures, no requests."""
        found: list[list[Any]] = []
        with self._transaction() as connection:
            for table, order in (
                (_schema.rungs, ()),
                (_schema.measurements, (_schema.measurements.c.position,)),
                (_schema.failures, (_schema.failures.c.id,)),
            ):
                query = self._there(connection, table, trial_id)
                found.append(list(connection.execute(query.order_by(table.c.trial_id, table.c.rung, *order)).all()))
        return _rows.rung_records(*found)

    def scores(self) -> list[RungRecord]:
        """All ended rungs as ``rungs`` gives them, without measurements and failures: little to read."""
        table = _schema.rungs
        with self._transaction() as connection:
            query = self._there(connection, table).order_by(table.c.trial_id, table.c.rung)
            rows = connection.execute(query).all()
        return _rows.rung_records(rows, (), ())

    def runs(self, trial_id: str) -> list[tuple[int, PointRun]]:
        """The raw requests and samples of a trial's ended rungs, with the rung of each run."""
        table = _schema.rungs
        query = self._of_trial(sa.select(table.c.rung, table.c.requests_file), table, trial_id).order_by(table.c.rung)
        return [
            (row.rung, run)
            for row in self._all(query)
            if row.requests_file
            for run in self._runs_of(row.requests_file, telemetry_file_name(trial_id, row.rung))
        ]

    def _runs_of(self, requests_file: str, telemetry_file: str) -> list[PointRun]:
        told = {sampled.run: sampled.telemetry for sampled in read_telemetry(self._telemetry_dir / telemetry_file)}
        runs = read_requests(self._requests_dir / requests_file)
        return [replace(run, telemetry=told.get(number)) for number, run in enumerate(runs)]

    def failures(self) -> list[FailureRecord]:
        """Every failure, in the order in which they were seen."""
        table = _schema.failures
        query = sa.select(table).where(table.c.study_id == self._study_id).order_by(table.c.id)
        return [_rows.failure_record(row) for row in self._all(query)]

    def _begin_life(self, connection: sa.Connection) -> None:
        if self._begins_at is not None:
            _spending.begin_life(connection, self._study_id, self._begins_at)
            self._begins_at = None

    def _all(self, query: sa.Select[Any]) -> list[Any]:
        with self._transaction() as connection:
            return list(connection.execute(query).all())

    def _there(self, connection: sa.Connection, table: sa.Table, trial_id: str | None = None) -> sa.Select[Any]:
        """The study's rows, of one trial or of all; columns that the table lacks are empty."""
        query = _schema.columns_there(connection, table).where(table.c.study_id == self._study_id)
        return query if trial_id is None else query.where(table.c.trial_id == trial_id)

    def _of_trial(self, query: sa.Select[Any], table: sa.Table, trial_id: str) -> sa.Select[Any]:
        return query.where(table.c.study_id == self._study_id, table.c.trial_id == trial_id)

    def _trial_update(self, trial_id: str) -> sa.Update:
        table = _schema.trials
        return table.update().where(table.c.study_id == self._study_id, table.c.trial_id == trial_id)

    def _update_trial(self, trial_id: str, **values: Any) -> None:
        with self._transaction() as connection:
            connection.execute(self._trial_update(trial_id).values(values))

    def _insert_failure(self, connection: sa.Connection, record: FailureRecord) -> None:
        row = asdict(record) | {"failure": Failure(record.failure).value}
        connection.execute(_schema.failures.insert().values(study_id=self._study_id, **row))

    def _refuse_other_study(self, connection: sa.Connection, study_id: str) -> None:
        """A SQLite file is one study's; a database server is shared."""
        if connection.dialect.name != "sqlite":
            return
        table = _schema.studies
        other = connection.execute(sa.select(table.c.name).where(table.c.study_id != study_id)).scalar()
        if other is not None:
            raise FolderError(f"{self._place} holds the results of another study, {other!r}")

    @contextmanager
    def _transaction(self) -> Iterator[sa.Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise InfrastructureError(f"the results database {self._place} failed: {error}") from error

    @property
    def _place(self) -> str:
        """Where the database is, without its password."""
        url = self._engine.url
        if url.get_backend_name() != "sqlite":
            return url.render_as_string(hide_password=True)
        return str(url.database)
