from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from autotuner.results.storage import schema as _schema


@pytest.mark.parametrize("dialect", [sqlite.dialect, postgresql.dialect], ids=["sqlite", "postgresql"])
def test_the_tables_of_the_contract_can_be_made(dialect: Callable[[], Dialect]) -> None:
    made = {name: str(CreateTable(table).compile(dialect=dialect())) for name, table in _schema.metadata.tables.items()}
    assert {"studies", "trials", "rungs", "measurements", "failures"} <= set(made)
    assert "PRIMARY KEY (study_id, trial_id, rung)" in made["rungs"]
