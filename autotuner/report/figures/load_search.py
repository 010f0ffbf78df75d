"""Every trial's search for the largest load, load point by load point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autotuner.metrics.measurement import Measurement
from autotuner.report.facts.scored_trials import ScoredTrial
from autotuner.report.figures.style import BAD, BEST, DEFAULT, MEETS, MUTED, Figure, Marked, axis, log_if_wide
from autotuner.report.text import config_text, figure_lines, figure_text, number
from autotuner.scoring.score import Violation


@dataclass(frozen=True)
class _Asked:
    """One load point, the ``place``-th from the left."""

    place: int
    trial: ScoredTrial
    measurement: Measurement

    @property
    def holds(self) -> bool:
        return "max_load" in self.measurement.metrics

    @property
    def load(self) -> float:
        return self.measurement.level.value


def load_search_figure(trials: Sequence[ScoredTrial], *, marked: Marked) -> Figure | None:
    """``None`` where no search has ended. From left to right in the order in which loads were asked for."""
    searches = _searches(trials)
    every = [point for search in searches for point in search]
    if not every:
        return None
    data = [
        _path(searches),
        _points("holds", MEETS, "circle", [p for p in every if p.holds]),
        _points("does not surely hold", BAD, "x", [p for p in every if not p.holds]),
    ]
    styles = {marked.default: ("default", DEFAULT, "diamond"), marked.best: (marked.best_name, BEST, "star")}
    for search in searches:
        name = search[0].trial.trial.trial_id
        if name in styles:
            label, colour, symbol = styles[name]
            held = [p for p in search if p.holds]
            largest = [max(held, key=lambda p: p.load)] if held else []
            data.append(_points(f"{label}: trial {figure_text(name)}", colour, symbol, largest, size=14))
    firsts = [search[0] for search in searches]
    kind = every[0].measurement.level.kind
    layout = {
        "xaxis": axis(
            "trial, its load points in their order",
            tickvals=[p.place for p in firsts],
            ticktext=[figure_text(p.trial.trial.trial_id) for p in firsts],
        ),
        "yaxis": axis(str(kind), **log_if_wide([p.load for p in every], widest=8.0)),
        "hovermode": "closest",
        "height": 420,
    }
    return {"data": [trace for trace in data if trace["x"]], "layout": layout}


def _searches(trials: Sequence[ScoredTrial]) -> list[list[_Asked]]:
    """Of each trial the load points that it measured; a free place parts two trials."""
    found, place = [], 0
    for trial in trials:
        measured = trial.last.measurements
        if measured:
            found.append([_Asked(place + nth, trial, one) for nth, one in enumerate(measured)])
            place += len(measured) + 1
    return found


def _path(searches: Sequence[Sequence[_Asked]]) -> dict[str, Any]:
    x: list[int | None] = []
    y: list[float | None] = []
    for search in searches:
        x += [*(p.place for p in search), None]
        y += [*(p.load for p in search), None]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "one trial's search",
        "x": x,
        "y": y,
        "hoverinfo": "skip",
        "line": {"color": MUTED, "width": 1.2},
    }


def _points(name: str, colour: str, symbol: str, points: Sequence[_Asked], size: int = 8) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [p.place for p in points],
        "y": [p.load for p in points],
        "hovertext": [_hover(p) for p in points],
        "hoverinfo": "text",
        "marker": {"color": colour, "symbol": symbol, "size": size},
    }


def _hover(point: _Asked) -> str:
    measured, trial = point.measurement, point.trial.trial
    said = [f"{measured.requests} requests", "holds" if point.holds else "does not surely hold"]
    said += [f"{v.metric} {number(v.value)} over {number(v.threshold)}" for v in _violations(point)]
    said += [] if measured.stopped_early is None else [f"given up: {measured.stopped_early}"]
    told = f"<b>trial {figure_text(trial.trial_id)}</b> · {measured.level} · {figure_lines(', '.join(said))}<br>"
    return told + figure_lines(config_text(trial.config), 70)


def _violations(point: _Asked) -> Sequence[Violation]:
    scored = point.trial.last.score.points
    return next((p.violations for p in scored if p.level == point.measurement.level), ())
