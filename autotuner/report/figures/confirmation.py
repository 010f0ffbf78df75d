"""Default against best and other finalists, round by round, and the interval of their ratio."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autotuner.report.figures.style import BEST, DEFAULT, MUTED, Figure, axis
from autotuner.report.text import figure_text, number
from autotuner.results.improvement import Improvement
from autotuner.results.records import Phase
from autotuner.results.result import StudyResults
from autotuner.scoring.select import select_best


@dataclass(frozen=True)
class ConfirmationRound:
    """The objective's value of each in one round; ``None`` where it was not, or could not be measured.

    ``others``: finalists besides the best, by trial.
    """

    number: int
    default: float | None
    best: float | None
    others: Mapping[str, float | None] = field(default_factory=dict)


def confirmation_values(results: StudyResults) -> tuple[ConfirmationRound, ...]:
    """Every confirmation round, in order; empty without any."""
    best, baseline = results.best, results.baseline
    if best is None or baseline is None:
        return ()
    found: dict[int, dict[str, float | None]] = {}
    for trial in results.trial_records:
        origin, _, text = trial.trial_id.rpartition("-c")
        if trial.phase is not Phase.CONFIRM or not text.isdigit():
            continue
        found.setdefault(int(text), {})[origin] = _value(results, trial.trial_id)
    return tuple(
        ConfirmationRound(
            k,
            values.get(baseline.trial_id),
            values.get(best.trial_id),
            {name: value for name, value in values.items() if name not in (baseline.trial_id, best.trial_id)},
        )
        for k, values in sorted(found.items())
    )


def _value(results: StudyResults, trial_id: str) -> float | None:
    """What the trial's own best load point reached, chosen as in the search."""
    rungs = results.rung_records.get(trial_id, ())
    if not rungs:
        return None
    scores = {trial_id: rungs[-1].score}
    choice = select_best(scores, results.objective, results.study.search.select)
    return None if choice is None else choice.value


def confirmation_figure(
    rounds: Sequence[ConfirmationRound], improvement: Improvement | None, *, metric: str
) -> Figure | None:
    """``None`` where nothing was confirmed."""
    if not any(r.default is not None or r.best is not None for r in rounds):
        return None
    data = [
        _values("default", DEFAULT, "diamond", [(r.number, r.default) for r in rounds]),
        _values("best", BEST, "star", [(r.number, r.best) for r in rounds]),
        *(
            _values(f"trial {name}", MUTED, "circle", [(r.number, r.others.get(name)) for r in rounds])
            for name in sorted({name for r in rounds for name in r.others})
        ),
    ]
    layout: dict[str, Any] = {
        "xaxis": axis("confirmation round", tickvals=[r.number for r in rounds], domain=[0, 1]),
        "yaxis": axis(figure_text(metric), rangemode="tozero"),
        "height": 340,
    }
    if improvement is not None and improvement.ratio is not None and improvement.ci95 is not None:
        data.append(_ratio(improvement.ratio, *improvement.ci95))
        layout["xaxis"]["domain"] = [0, 0.56]
        layout["xaxis2"] = axis("best / default", domain=[0.66, 1], anchor="y2")
        layout["yaxis2"] = {"visible": False, "range": [-1, 1], "anchor": "x2", "fixedrange": True}
        layout["shapes"] = [_no_change()]
        layout["annotations"] = [_told(improvement.ratio, *improvement.ci95)]
    return {"data": data, "layout": layout}


def _values(name: str, colour: str, symbol: str, values: Sequence[tuple[int, float | None]]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": [k for k, _ in values],
        "y": [v for _, v in values],
        "hovertext": [f"{name}, round {k}: {number(v)}" for k, v in values],
        "hoverinfo": "text",
        "line": {"color": colour, "width": 1.5, "dash": "dot"},
        "marker": {"color": colour, "symbol": symbol, "size": 12},
    }


def _ratio(ratio: float, low: float, high: float) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "ratio with 95 % interval",
        "xaxis": "x2",
        "yaxis": "y2",
        "x": [ratio],
        "y": [0],
        "hoverinfo": "skip",
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [max(0.0, high - ratio)],
            "arrayminus": [max(0.0, ratio - low)],
            "color": BEST,
            "thickness": 3,
            "width": 8,
        },
        "marker": {"color": BEST, "size": 13},
    }


def _told(ratio: float, low: float, high: float) -> dict[str, Any]:
    return {
        "xref": "x2 domain",
        "yref": "y2 domain",
        "x": 0.5,
        "y": 0.72,
        "text": f"<b>{ratio:.3g}</b> [{low:.3g}, {high:.3g}]",
        "showarrow": False,
    }


def _no_change() -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "x2",
        "yref": "y2",
        "x0": 1,
        "x1": 1,
        "y0": -1,
        "y1": 1,
        "line": {"color": MUTED, "width": 1.5, "dash": "dash"},
    }
