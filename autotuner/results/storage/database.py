"""Connections to a results database: SQLite in the study's folder, any other by its URL."""

from __future__ import annotations

import json
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import sqlalchemy as sa
from pydantic_core import from_json
from sqlalchemy.exc import SQLAlchemyError

from autotuner.errors import FolderError

_SQLITE = "sqlite:///"
_WRITER_WAITS_S = 60.0
_READER_WAITS_S = 20.0


def connect(url: str, *, read_only: bool = False) -> sa.Engine:
    """Raises FolderError for a URL that can't be used."""
    try:
        if url.startswith(_SQLITE):
            # SQLAlchemy's releases differ in whether they decode a path, so it is done here.
            return _sqlite(unquote(url.removeprefix(_SQLITE)), read_only)
        engine = sa.create_engine(url, json_deserializer=_from_json)
        return engine.execution_options(postgresql_readonly=True) if read_only else engine
    except (SQLAlchemyError, ImportError) as error:
        raise FolderError(f"the results database can't be used: {error}") from error


def _sqlite(path: str, read_only: bool) -> sa.Engine:
    """With a rollback journal, synced at each commit: safe on network file systems, with one writer."""
    url = sa.URL.create("sqlite", database=path)
    if read_only:
        return sa.create_engine(url, creator=partial(_look_into, Path(path)), json_deserializer=_from_json)
    engine = sa.create_engine(url, connect_args={"timeout": _WRITER_WAITS_S}, json_deserializer=_from_json)

    @sa.event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _: object) -> None:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("PRAGMA synchronous=FULL")

    return engine


def _from_json(text: str | bytes) -> Any:
    """As json.loads, in a third of its time: most of what a large study's report waits for is numbers in JSON."""
    try:
        return from_json(text)
    except ValueError:  # half a surrogate pair, of a log that was cut there
        return json.loads(text)


def copy_sqlite(path: Path, target: Path) -> None:
    """The database at ``path``, as it is between two writes, as the new file ``target``."""
    source, copy = _look_into(path), sqlite3.connect(target)
    try:
        source.backup(copy)
    finally:
        copy.close()
        source.close()


def _look_into(path: Path) -> sqlite3.Connection:
    """A connection that writes nothing, not even the roll-back of a write that a killed driver left half done."""
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=_READER_WAITS_S)
    try:
        connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
    except sqlite3.OperationalError as error:
        connection.close()
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_READONLY:
            raise
        return _rolled_back_copy(path)
    return connection


def _rolled_back_copy(path: Path) -> sqlite3.Connection:
    """The database in memory, as it was before the write that was cut off."""
    from autotuner.servers.supervision.work_folder import work_folder  # late: loads all launchers

    journal = path.with_name(f"{path.name}-journal")
    with work_folder() as folder:
        copy = folder / path.name
        if journal.exists():
            copy.with_name(journal.name).write_bytes(journal.read_bytes())
        copy.write_bytes(path.read_bytes())
        memory = sqlite3.connect(":memory:")
        source = sqlite3.connect(copy)
        try:
            source.backup(memory)
        finally:
            source.close()
    return memory
