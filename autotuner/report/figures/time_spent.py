"""Where the time of each trial went, as stacked bars."""

from __future__ import annotations

from collections.abc import Sequence

from autotuner.report.facts.time_spent import TimeSpent
from autotuner.report.figures.style import BAD, DEFAULT, MEETS, MUTED, Figure, axis
from autotuner.report.text import figure_text

PARTS = (
    ("measuring", "measuring_s", MEETS),
    ("loading", "loading_s", DEFAULT),
    ("reserved, neither loading nor measuring", "waiting_s", MUTED),
    ("failed trials", "failed_s", BAD),
)


def time_figure(spent: Sequence[TimeSpent]) -> Figure | None:
    """``None`` where no trial has held anything yet."""
    totals = {key: sum(getattr(s, key) for s in spent) for _, key, _ in PARTS}
    if not any(totals.values()):
        return None
    ids = [figure_text(s.trial_id) for s in spent]
    data = [
        {
            "type": "bar",
            "name": name,
            "x": ids,
            "y": [round(getattr(s, key), 3) for s in spent],
            "marker": {"color": colour},
            "hovertemplate": f"trial %{{x}}: %{{y:.1f}} s {name}<extra></extra>",
        }
        for name, key, colour in PARTS
        if totals[key]
    ]
    layout = {
        "barmode": "stack",
        "bargap": 0.15 if len(spent) < 100 else 0.02,
        "xaxis": axis("", type="category", nticks=40),
        "yaxis": axis("seconds"),
        "height": 340,
    }
    return {"data": data, "layout": layout}
