"""Where the time of each trial went, as stacked bars."""

from __future__ import annotations

from collections.abc import Sequence

from autotuner.report.facts.time_spent import LABELS, TimeSpent
from autotuner.report.figures.style import AGAIN, BAD, BEST, DEFAULT, MEETS, MUTED, WARMING, Figure, axis
from autotuner.report.text import figure_text
from autotuner.results.uses import Use

_COLOURS = {
    Use.STARTING: DEFAULT,
    Use.WARMING_UP: WARMING,
    Use.MEASURING: MEETS,
    Use.REFERENCE: AGAIN,
    Use.CONFIRMING: BEST,
    Use.FAILED: BAD,
    Use.IDLE: MUTED,
}


def time_figure(spent: Sequence[TimeSpent]) -> Figure | None:
    """``None`` where no trial has held anything yet."""
    totals = {use: sum(s.seconds[use] for s in spent) for use in Use}
    if not any(totals.values()):
        return None
    ids = [figure_text(s.trial_id) for s in spent]
    data = [
        {
            "type": "bar",
            "name": LABELS[use],
            "x": ids,
            "y": [round(s.seconds[use], 3) for s in spent],
            "marker": {"color": colour},
            "hovertemplate": f"trial %{{x}}: %{{y:.1f}} s {LABELS[use]}<extra></extra>",
        }
        for use, colour in _COLOURS.items()
        if totals[use]
    ]
    layout = {
        "barmode": "stack",
        "bargap": 0.15 if len(spent) < 100 else 0.02,
        "xaxis": axis("", type="category", nticks=40),
        "yaxis": axis("seconds"),
        "height": 340,
    }
    return {"data": data, "layout": layout}
