"""The tables. A change of shape raises ``SCHEMA_VERSION``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from autotuner.errors import FolderError

SCHEMA_VERSION = 1

metadata = sa.MetaData()


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(200), primary_key=True)


def _usage() -> list[sa.Column[float]]:
    told = [sa.Column(name, sa.Double, nullable=False) for name in ("reserved_s", "loading_s", "measuring_s")]
    return [*told, sa.Column("warmup_s", sa.Double)]  # the last was added to version 1: see ``add_columns``


schema_info = sa.Table("schema_info", metadata, sa.Column("version", sa.Integer, nullable=False))

studies = sa.Table(
    "studies",
    metadata,
    _key("study_id"),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("study_yaml", sa.Text, nullable=False),
    sa.Column("status", sa.String(20), nullable=False),
    sa.Column("stop_reason", sa.Text, nullable=False),
    sa.Column("created_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
)

trials = sa.Table(
    "trials",
    metadata,
    _key("study_id"),
    _key("trial_id"),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("phase", sa.String(20), nullable=False),
    sa.Column("config", sa.JSON, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("failure", sa.String(40)),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("gpus", sa.Integer, nullable=False),
    sa.Column("cpus", sa.Integer, nullable=False),
    sa.Column("replicas", sa.Integer, nullable=False),
    sa.Column("accelerator", sa.Text, nullable=False),
    sa.Column("node", sa.Text, nullable=False),
    sa.Column("launch_id", sa.Text, nullable=False),
    sa.Column("engine_version", sa.Text, nullable=False),
    sa.Column("startup_s", sa.Double),
    sa.Column("started_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
    *_usage(),
    sa.Column("asked", sa.JSON),  # added to version 1
)

rungs = sa.Table(
    "rungs",
    metadata,
    _key("study_id"),
    _key("trial_id"),
    sa.Column("rung", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("launch_id", sa.Text, nullable=False),
    sa.Column("score", sa.Double, nullable=False),
    sa.Column("feasible", sa.Boolean, nullable=False),
    sa.Column("slo_met", sa.Boolean, nullable=False),
    sa.Column("score_detail", sa.JSON, nullable=False),
    sa.Column("requests_file", sa.Text, nullable=False),
    sa.Column("ended_at", sa.Double, nullable=False),
    *_usage(),
)

measurements = sa.Table(
    "measurements",
    metadata,
    _key("study_id"),
    _key("trial_id"),
    sa.Column("rung", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("load_kind", sa.String(20), nullable=False),
    sa.Column("level", sa.Double, nullable=False),
    sa.Column("requests", sa.Integer, nullable=False),
    sa.Column("errors", sa.Integer, nullable=False),
    sa.Column("stopped_early", sa.Text),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("tokens_by", sa.String(20)),  # this and the next ones were added to version 1: see ``add_columns``
    sa.Column("notes", sa.JSON),
    sa.Column("disturbed", sa.Text),
)

failures = sa.Table(
    "failures",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("study_id", sa.String(200), nullable=False, index=True),
    sa.Column("trial_id", sa.String(200), nullable=False),
    sa.Column("rung", sa.Integer),
    sa.Column("level", sa.Text),
    sa.Column("failure", sa.String(40), nullable=False),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("log_tail", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
)

holds = sa.Table(  # added to version 1: what each trial reserves, and since when it holds that
    "holds",
    metadata,
    _key("study_id"),
    _key("trial_id"),
    sa.Column("gpus", sa.Integer, nullable=False),
    sa.Column("cpus", sa.Integer, nullable=False),
    sa.Column("held_since", sa.Double),
    sa.Column("held_before_s", sa.Double, nullable=False),
)

lives = sa.Table(  # added to version 1: a driver's run of the study; what was spent before it
    "lives",
    metadata,
    _key("study_id"),
    sa.Column("life", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("began_at", sa.Double, nullable=False),
    sa.Column("seen_at", sa.Double, nullable=False),
    sa.Column("ended_at", sa.Double),
    sa.Column("gpu_s_before", sa.Double, nullable=False),
    sa.Column("cpu_s_before", sa.Double, nullable=False),
)

quarantines = sa.Table(  # added to version 1: a store without it has none
    "quarantines",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("study_id", sa.String(200), nullable=False, index=True),
    sa.Column("node", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
)

waits = sa.Table(  # added to version 1: what others hold that the study waits for now
    "waits",
    metadata,
    _key("study_id"),
    _key("trial_id"),
    sa.Column("wait", sa.JSON, nullable=False),
)


def add_columns(connection: sa.Connection) -> None:
    """Columns that a store of this version made earlier lacks; they may all be empty."""
    for table in metadata.sorted_tables:
        for column in _missing(connection, table):
            kind = column.type.compile(connection.dialect)
            connection.execute(sa.text(f'ALTER TABLE {table.name} ADD COLUMN "{column.name}" {kind}'))


def columns_there(connection: sa.Connection, table: sa.Table) -> sa.Select[Any]:
    """All columns of a table that may be read alone; those that were added later are empty where it lacks them."""
    missing = {column.name for column in _missing(connection, table)}
    return sa.select(*(sa.null().label(c.name) if c.name in missing else c for c in table.columns))


def _missing(connection: sa.Connection, table: sa.Table) -> list[sa.Column[Any]]:
    there = {column["name"] for column in sa.inspect(connection).get_columns(table.name)}
    return [column for column in table.columns if column.name not in there]


def check_version(versions: Sequence[int]) -> None:
    """Raises FolderError for results of another version of the schema; none are as good as this one's."""
    if versions and versions[0] != SCHEMA_VERSION:
        raise FolderError(
            f"the results have schema version {versions[0]}, this autotuner reads version {SCHEMA_VERSION}"
        )
