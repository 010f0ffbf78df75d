"""Bars of parameter importance."""

from __future__ import annotations

from autotuner.report.facts.importance import Importance
from autotuner.report.figures.style import MEETS, MUTED, Figure, axis
from autotuner.report.text import figure_text, value_text

_MOST_SHOWN = 15


def importance_figure(found: Importance) -> Figure:
    shown = found.parameters[:_MOST_SHOWN][::-1]
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [100 * p.share for p in shown],
        "y": [figure_text(value_text(p.name, 40)) for p in shown],
        "error_x": {
            "type": "data",
            "array": [100 * p.deviation for p in shown],
            "thickness": 1.2,
            "width": 3,
            "color": MUTED,
        },
        "marker": {"color": MEETS},
        "hovertemplate": "%{x:.1f} %<extra></extra>",
    }
    layout = {
        "xaxis": axis("share of the importance (%)", rangemode="tozero"),
        "yaxis": axis("", type="category"),
        "height": max(220, 90 + 34 * len(shown)),
        "showlegend": False,
    }
    return {"data": [bars], "layout": layout}
