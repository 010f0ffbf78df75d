"""Parallel coordinates: every trial a line over its parameters and its score.

Drawn as plain lines: Plotly's own kind needs WebGL and code made at run time, which the report's page forbids.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from autotuner.report.facts.scored_trials import ScoredTrial
from autotuner.report.facts.worth import score_text, score_words
from autotuner.report.figures.style import BEST, MUTED, SCALE, Figure
from autotuner.report.text import config_text, figure_lines, figure_text, is_finite_number, number, value_text

_MOST_AXES = 14
_MOST_TICKS = 8
_ABSENT = "(absent)"


@dataclass(frozen=True)
class _Axis:
    """Heights 0 to 1 of all trials on one vertical axis, and its ticks."""

    title: str
    heights: tuple[float, ...]
    ticks: tuple[tuple[float, str], ...]


def parallel_figure(ranked: Sequence[ScoredTrial], names: Sequence[str], *, objective: str) -> Figure | None:
    """``ranked`` from worst to best; ``names`` in the order of the axes. ``None`` with fewer than two trials."""
    if len(ranked) < 2 or not names:
        return None
    axes = [_parameter_axis(name, ranked) for name in names[:_MOST_AXES]]
    axes.append(_Axis(f"{objective}<br>(rank)", _ranks(len(ranked)), _score_ticks(ranked)))
    data = [_band(band, ranked, axes) for band in range(len(SCALE))]
    data.append(_line("best", BEST, 3.5, 1.0, [len(ranked) - 1], ranked, axes))
    layout = {
        "xaxis": {"visible": False, "range": [-0.25, len(axes) - 0.55], "fixedrange": True},
        "yaxis": {"visible": False, "range": [-0.06, 1.16], "fixedrange": True},
        "shapes": [_axis_line(i) for i in range(len(axes))],
        "annotations": [a for i, one in enumerate(axes) for a in _axis_texts(i, one)],
        "hovermode": "closest",
        "showlegend": False,
        "height": 440,
        "margin": {"l": 30, "r": 30, "t": 20, "b": 10},
    }
    return {"data": [trace for trace in data if trace["x"]], "layout": layout}


def _ranks(count: int) -> tuple[float, ...]:
    return tuple(i / (count - 1) for i in range(count))


def _score_ticks(ranked: Sequence[ScoredTrial]) -> tuple[tuple[float, str], ...]:
    last = len(ranked) - 1
    places = sorted({0, last // 2, last})
    return tuple((place / last, score_text(ranked[place].last.score)) for place in places)


def _parameter_axis(name: str, ranked: Sequence[ScoredTrial]) -> _Axis:
    title = figure_text(value_text(name, 24))
    values = [t.trial.config.get(name, _ABSENT) for t in ranked]
    if all(is_finite_number(v) for v in values) and len(set(values)) > _MOST_TICKS:
        low, high = min(values), max(values)
        heights = tuple((v - low) / (high - low) for v in values)
        return _Axis(title, heights, tuple((k / 2, number(low + (high - low) * k / 2)) for k in range(3)))
    order = sorted({_sort_key(v) for v in values})
    step = 1 / max(1, len(order) - 1)
    place = {key: 0.5 if len(order) == 1 else i * step for i, key in enumerate(order)}
    labels = {_sort_key(v): v if v is _ABSENT else value_text(v, 18) for v in values}
    shown = order if len(order) <= _MOST_TICKS else [order[0], order[-1]]
    ticks = tuple((place[key], figure_text(labels[key])) for key in shown)
    return _Axis(title, tuple(place[_sort_key(v)] for v in values), ticks)


def _sort_key(value: Any) -> tuple[int, float, str]:
    if is_finite_number(value):
        return (1, float(value), "")
    return (0 if value is _ABSENT else 2, 0.0, json.dumps(value, sort_keys=True, default=str))


def _band(band: int, ranked: Sequence[ScoredTrial], axes: Sequence[_Axis]) -> dict[str, Any]:
    """One trace for the trials of one colour: a gap parts them."""
    count = len(ranked)
    members = [i for i in range(count) if min(len(SCALE) - 1, i * len(SCALE) // count) == band]
    alpha = max(0.25, min(0.85, 40 / count))
    return _line(f"band {band}", SCALE[band], 1.6, alpha, members, ranked, axes)


def _line(
    name: str,
    colour: str,
    width: float,
    alpha: float,
    members: Sequence[int],
    ranked: Sequence[ScoredTrial],
    axes: Sequence[_Axis],
) -> dict[str, Any]:
    x: list[float | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for i in members:
        x += [*range(len(axes)), None]
        y += [*(round(one.heights[i], 4) for one in axes), None]
        text += [_hover(ranked[i])] * len(axes) + [""]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": name,
        "x": x,
        "y": y,
        "hovertext": text,
        "hoverinfo": "text",
        "opacity": alpha,
        "line": {"color": colour, "width": width},
        "marker": {"color": colour, "size": 4},
    }


def _hover(trial: ScoredTrial) -> str:
    told = f"{score_words(trial.last.score)} after rung {trial.last.rung}"
    return f"<b>trial {figure_text(trial.trial.trial_id)}</b> · {told}<br>" + figure_lines(
        config_text(trial.trial.config), 70
    )


def _axis_line(place: int) -> dict[str, Any]:
    return {
        "type": "line",
        "x0": place,
        "x1": place,
        "y0": 0,
        "y1": 1,
        "layer": "below",
        "line": {"color": MUTED, "width": 1},
    }


def _axis_texts(place: int, one: _Axis) -> list[dict[str, Any]]:
    shared = {"x": place, "showarrow": False}
    title = {**shared, "y": 1.07, "text": f"<b>{one.title}</b>", "yanchor": "bottom", "font": {"size": 11}}
    ticks = [
        {**shared, "y": height, "text": text, "xanchor": "left", "xshift": 6, "font": {"size": 10}}
        for height, text in one.ticks
    ]
    return [title, *ticks]
