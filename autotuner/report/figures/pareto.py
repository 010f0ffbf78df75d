"""A Pareto front of two metrics over every load point of every trial."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autotuner.metrics.direction import Direction
from autotuner.metrics.registry import Metric, find_metric
from autotuner.report.facts.points import Point, Standing
from autotuner.report.figures.style import BAD, BEST, DEFAULT, MEETS, MUTED, Figure, Marked, axis, log_if_wide
from autotuner.report.text import config_text, figure_lines, figure_text, number
from autotuner.scoring.objective import Objective
from autotuner.scoring.pareto import pareto_front
from autotuner.study.model import Slo

_HOVERED = (
    ("ttft_p99_ms", "TTFT p99", "ms"),
    ("tpot_mean_ms", "TPOT mean", "ms"),
    ("e2e_p99_ms", "e2e p99", "ms"),
    ("output_tokens_per_s", "output", "tokens/s"),
    ("goodput_per_s", "goodput", "requests/s"),
)
_TITLES = {
    "tokens_per_s_per_user": "output tokens/s per user",
    "output_tokens_per_s_per_gpu": "output tokens/s per GPU",
    "output_tokens_per_s": "output tokens/s",
    "ttft_p99_ms": "time to first token, p99 (ms)",
}
_MARKERS: Mapping[Standing, dict[str, Any]] = {
    Standing.INFEASIBLE: {"symbol": "x-thin", "size": 7, "line": {"width": 1.5, "color": BAD}, "color": BAD},
    Standing.PARTIAL: {"symbol": "circle", "size": 6, "color": MUTED, "opacity": 0.45},
    Standing.VIOLATES: {"symbol": "circle-open", "size": 8, "line": {"width": 1.5}, "color": MEETS},
    Standing.MEETS: {"symbol": "circle", "size": 8, "color": MEETS, "opacity": 0.85},
}


@dataclass(frozen=True)
class Limit:
    """An SLO as a line across the x axis."""

    at: float
    label: str


@dataclass(frozen=True)
class Spot:
    """One load point that is pointed out, by an open symbol around its mark."""

    name: str
    trial_id: str
    level: float
    symbol: str
    colour: str


@dataclass(frozen=True)
class ParetoAxes:
    x: Metric
    y: Metric
    limits: tuple[Limit, ...]


def user_axes(slo: Slo) -> ParetoAxes:
    """Throughput per GPU against speed per user; a TPOT threshold is a speed of 1000 / threshold."""
    limits = [
        Limit(1000 / term.threshold_ms, f"TPOT {statistic} ≤ {number(term.threshold_ms)} ms")
        for metric, statistic, term in slo.terms()
        if metric == "tpot"
    ]
    return ParetoAxes(_metric("tokens_per_s_per_user"), _metric("output_tokens_per_s_per_gpu"), tuple(limits))


def latency_axes(slo: Slo) -> ParetoAxes:
    """Throughput against TTFT p99."""
    limits = [
        Limit(term.threshold_ms, f"TTFT {statistic} ≤ {number(term.threshold_ms)} ms")
        for metric, statistic, term in slo.terms()
        if metric == "ttft"
    ]
    return ParetoAxes(_metric("ttft_p99_ms"), _metric("output_tokens_per_s"), tuple(limits))


def objective_axes(objectives: Sequence[Objective], slo: Slo) -> ParetoAxes:
    """The first two objectives of a study, the first one upwards."""
    first, second = objectives[:2]
    limits = [
        Limit(term.threshold_ms, f"{metric.upper()} {statistic} ≤ {number(term.threshold_ms)} ms")
        for metric, statistic, term in slo.terms()
        if second.column == f"{metric}_{statistic}_ms"
    ]
    return ParetoAxes(_metric(second.column), _metric(first.column), tuple(limits))


def pareto_figure(
    points: Sequence[Point],
    axes: ParetoAxes,
    *,
    gpus: int,
    has_slo: bool,
    marked: Marked,
    spots: Sequence[Spot] = (),
) -> Figure | None:
    """The marked trials are drawn as load curves. ``None`` where no point has both metrics."""
    drawn = [p for p in points if axes.x.column in p.metrics and axes.y.column in p.metrics]
    if not drawn:
        return None
    names = {s: s.value for s in Standing} | ({} if has_slo else {Standing.MEETS: "feasible (no SLO is set)"})
    data = [_cloud(names[s], marker, [p for p in drawn if p.standing is s], axes) for s, marker in _MARKERS.items()]
    front = _front(drawn, axes)
    if front:
        data.append(_front_line(front, axes))
    if marked.default is not None and marked.default != marked.best:
        data.append(_curve("default", marked.default, DEFAULT, "diamond", drawn, axes))
    if marked.best is not None:
        data.append(_curve(marked.best_name, marked.best, BEST, "star", drawn, axes))
    data += [_spot(spot, drawn, axes) for spot in spots]
    scale = log_if_wide([p.metrics[axes.x.column] for p in drawn])
    layout = {
        "xaxis": axis(_title(axes.x, gpus), **({"rangemode": "tozero"} | scale)),
        "yaxis": axis(_title(axes.y, gpus), rangemode="tozero"),
        "shapes": [_limit_line(limit) for limit in axes.limits],
        "annotations": [_limit_label(limit, i, bool(scale)) for i, limit in enumerate(axes.limits)],
        "hovermode": "closest",
        "height": 480,
    }
    return {"data": [trace for trace in data if trace["x"]], "layout": layout}


def _metric(column: str) -> Metric:
    found = find_metric(column)
    if found is None:
        raise LookupError(column)
    return found


def _title(metric: Metric, gpus: int) -> str:
    title = _TITLES.get(metric.column, metric.label)
    return title if gpus else title.replace("per GPU", "per server replica")


def _cloud(name: str, marker: dict[str, Any], points: Sequence[Point], axes: ParetoAxes) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [p.metrics[axes.x.column] for p in points],
        "y": [p.metrics[axes.y.column] for p in points],
        "hovertext": [_hover(p) for p in points],
        "hoverinfo": "text",
        "marker": marker,
    }


def _front(points: Sequence[Point], axes: ParetoAxes) -> list[Point]:
    """The front of what is feasible at full fidelity, by x."""
    candidates = [p for p in points if p.standing in (Standing.MEETS, Standing.VIOLATES)]
    values = [(p.metrics[axes.x.column], p.metrics[axes.y.column]) for p in candidates]
    directions: list[Direction] = [axes.x.direction, axes.y.direction]
    front = [candidates[i] for i in pareto_front(values, directions)]
    return sorted(front, key=lambda p: p.metrics[axes.x.column])


def _front_line(front: Sequence[Point], axes: ParetoAxes) -> dict[str, Any]:
    """Steps: between two points of the front no more than the lesser of them was reached."""
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": "Pareto front",
        "x": [p.metrics[axes.x.column] for p in front],
        "y": [p.metrics[axes.y.column] for p in front],
        "hovertext": [_hover(p) for p in front],
        "hoverinfo": "text",
        "line": {"color": MEETS, "width": 2, "shape": "vh" if axes.x.direction is axes.y.direction else "hv"},
        "marker": {"symbol": "circle-open", "size": 13, "color": MEETS, "line": {"width": 1.5}},
    }


def _spot(spot: Spot, points: Sequence[Point], axes: ParetoAxes) -> dict[str, Any]:
    own = [p for p in points if (p.trial.trial_id, p.level) == (spot.trial_id, spot.level)]
    marker = {"symbol": spot.symbol, "size": 20, "color": spot.colour, "line": {"width": 2}}
    return _cloud(f"{spot.name}: trial {figure_text(spot.trial_id)}", marker, own, axes)


def _curve(
    name: str, trial_id: str, colour: str, symbol: str, points: Sequence[Point], axes: ParetoAxes
) -> dict[str, Any]:
    own = sorted((p for p in points if p.trial.trial_id == trial_id), key=lambda p: p.level)
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": f"{name}: trial {figure_text(trial_id)}, its load levels",
        "x": [p.metrics[axes.x.column] for p in own],
        "y": [p.metrics[axes.y.column] for p in own],
        "hovertext": [_hover(p) for p in own],
        "hoverinfo": "text",
        "line": {"color": colour, "width": 1.5, "dash": "dot"},
        "marker": {"symbol": symbol, "size": 12, "color": colour},
    }


def _hover(point: Point) -> str:
    trial = figure_text(point.trial.trial_id)
    metrics = " · ".join(
        f"{label} {number(point.metrics[column])} {unit}" for column, label, unit in _HOVERED if column in point.metrics
    )
    return "<br>".join(
        [
            f"<b>trial {trial}</b> · {point.label} · {point.requests} requests · {point.standing.value}",
            figure_lines(metrics, 70),
            figure_lines(config_text(point.trial.config), 70),
        ]
    )


def _limit_line(limit: Limit) -> dict[str, Any]:
    return {
        "type": "line",
        "xref": "x",
        "yref": "paper",
        "x0": limit.at,
        "x1": limit.at,
        "y0": 0,
        "y1": 1,
        "line": {"color": BAD, "width": 1.5, "dash": "dash"},
    }


def _limit_label(limit: Limit, place: int, logarithmic: bool) -> dict[str, Any]:
    return {
        "xref": "x",
        "yref": "paper",
        "x": math.log10(limit.at) if logarithmic else limit.at,
        "y": 1 - 0.055 * place,
        "text": limit.label,
        "showarrow": False,
        "xanchor": "left",
        "yanchor": "top",
        "xshift": 4,
        "font": {"color": BAD, "size": 11},
    }
