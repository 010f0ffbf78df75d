from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from autotuner.metrics import RequestRecord
from autotuner.metrics.registry import METRICS
from autotuner.results.improvement import Improvement
from autotuner.results.points import TrialPoint
from autotuner.results.tables import MEASUREMENT_COLUMNS, PARETO_COLUMNS, TRIAL_COLUMNS

TEXT = (Path(__file__).parents[3] / "docs" / "output-reference.md").read_text(encoding="utf-8")


def metric_table() -> str:
    """Every metric column as a Markdown table."""
    rows = [f"| `{m.column}` | {m.unit} | {m.direction.value} | {m.formula} |" for m in METRICS]
    return "\n".join(("| column | unit | better | formula |", "|---|---|---|---|", *rows))


def test_the_metric_table_is_the_registrys() -> None:
    assert metric_table() in TEXT


def test_every_column_and_key_is_explained() -> None:
    columns = {*TRIAL_COLUMNS, *MEASUREMENT_COLUMNS, *PARETO_COLUMNS}
    keys = {f.name for kind in (RequestRecord, TrialPoint, Improvement) for f in fields(kind)}
    assert [name for name in sorted(columns | keys) if f"`{name}`" not in TEXT] == []
