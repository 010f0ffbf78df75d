"""The generated part of docs/output-reference.md."""

from __future__ import annotations

from autotuner.metrics.registry import METRICS


def metric_table() -> str:
    """Every metric column as a Markdown table."""
    rows = [f"| `{m.column}` | {m.unit} | {m.direction.value} | {m.formula} |" for m in METRICS]
    return "\n".join(("| column | unit | better | formula |", "|---|---|---|---|", *rows))
