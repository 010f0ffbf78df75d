"""What the servers told over time: the default on the left, the best on the right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autotuner.report.facts.told_by_servers import ToldSpan
from autotuner.report.figures.style import MUTED, Figure, axis
from autotuner.report.text import figure_text, number

_MOST_MARKS = 1500  # of one line: a page must stay light
_GAP = 0.08  # between the columns, of the width


@dataclass(frozen=True)
class ToldTrial:
    """A column of the figure."""

    name: str
    colour: str
    trial_id: str
    spans: tuple[ToldSpan, ...]

    def tells(self, field: str) -> bool:
        return any(getattr(sample, field) is not None for span in self.spans for sample in span.samples)


@dataclass(frozen=True)
class _Line:
    field: str
    name: str
    dash: str


@dataclass(frozen=True)
class _Panel:
    title: str
    lines: tuple[_Line, ...]


_PANELS = (
    _Panel("requests", (_Line("running", "running", "solid"), _Line("waiting", "waiting", "dot"))),
    _Panel("share of KV cache in use", (_Line("kv_cache_use", "KV cache", "solid"),)),
)


def telemetry_figure(trials: Sequence[ToldTrial]) -> Figure | None:
    """``None`` where no server told anything."""
    panels = [p for p in _PANELS if any(trial.tells(line.field) for trial in trials for line in p.lines)]
    shown = [trial for trial in trials if any(trial.tells(line.field) for p in panels for line in p.lines)]
    if not shown:
        return None
    layout: dict[str, Any] = {
        "height": 150 + 200 * len(panels),
        "hovermode": "closest",
        "margin": {"l": 64, "r": 16, "t": 48, "b": 48},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": -0.28 / len(panels),
            "yanchor": "top",
        },  # headings stand where it is elsewhere
        "shapes": [],
        "annotations": [],
    }
    data: list[dict[str, Any]] = []
    for column, trial in enumerate(shown):
        left, right = _domain(column, len(shown))
        x = _number("x", column)
        bottom = _number("y", column)  # its panel below; y axes are numbered row by row
        layout[_axis_key("x", column)] = axis(
            "seconds under load", domain=[left, right], anchor=bottom, rangemode="tozero"
        )
        for row, panel in enumerate(panels):
            index = row * len(shown) + column
            low, high = _domain(row, len(panels))
            layout[_axis_key("y", index)] = axis(
                panel.title if column == 0 else "",
                domain=[low, high],
                anchor=x,
                rangemode="tozero",
                **({"matches": _number("y", row * len(shown))} if column else {}),
            )
            for line in panel.lines:
                if trial.tells(line.field):
                    data.append(_trace(trial, line, x, _number("y", index)) | {"showlegend": len(panel.lines) > 1})
        layout["shapes"] += [_start_of(span, x) for span in trial.spans]
        layout["annotations"] += [*_levels(trial, x), _heading(trial, x)]
    return {"data": data, "layout": layout}


def _domain(place: int, of: int) -> tuple[float, float]:
    width = (1 - _GAP * (of - 1)) / of
    start = place * (width + _GAP)
    return start, min(1.0, start + width)


def _number(letter: str, index: int) -> str:
    return letter if index == 0 else f"{letter}{index + 1}"


def _axis_key(letter: str, index: int) -> str:
    return f"{letter}axis" if index == 0 else f"{letter}axis{index + 1}"


def _trace(trial: ToldTrial, line: _Line, x: str, y: str) -> dict[str, Any]:
    marks = list(_marks(trial, line))
    return {
        "type": "scatter",
        "mode": "lines",
        "name": f"{trial.name}: {line.name}",
        "xaxis": x,
        "yaxis": y,
        "x": [at_s for at_s, _, _ in marks],
        "y": [value for _, value, _ in marks],
        "hovertext": [text for _, _, text in marks],
        "hoverinfo": "text",
        "line": {"color": trial.colour, "width": 1.8, "dash": line.dash},
    }


def _marks(trial: ToldTrial, line: _Line) -> Iterator[tuple[float | None, float | None, str]]:
    """Time, value and hover text; a gap after each load point. Of very many samples every n-th."""
    told = sum(1 for span in trial.spans for sample in span.samples if getattr(sample, line.field) is not None)
    step = -(-told // _MOST_MARKS)
    for span in trial.spans:
        values = [(s.at_s, v) for s in span.samples if (v := getattr(s, line.field)) is not None]
        text = f"{figure_text(str(span.level))} · rung {span.rung}<br>{line.name} "
        for at_s, value in values[::step]:
            yield round(span.start_s + at_s, 2), value, text + number(value)
        yield None, None, ""


def _start_of(span: ToldSpan, x: str) -> Mapping[str, Any]:
    line = {"color": MUTED, "width": 1, "dash": "dash"}
    return {
        "type": "line",
        "xref": x,
        "yref": "paper",
        "x0": span.start_s,
        "x1": span.start_s,
        "y0": 0,
        "y1": 1,
        "line": line,
    }


def _levels(trial: ToldTrial, x: str) -> list[dict[str, Any]]:
    return [
        {
            "xref": x,
            "yref": "paper",
            "x": span.start_s,
            "y": 1,
            "xanchor": "left",
            "yanchor": "bottom",
            "text": f"{span.level.value:g}",
            "showarrow": False,
            "font": {"size": 10, "color": MUTED},
        }
        for span in trial.spans
    ]


def _heading(trial: ToldTrial, x: str) -> dict[str, Any]:
    return {
        "xref": f"{x} domain",
        "yref": "paper",
        "x": 0.5,
        "y": 1,
        "yshift": 16,
        "yanchor": "bottom",
        "text": f"<b>{figure_text(trial.name)}</b>: trial {figure_text(trial.trial_id)}",
        "showarrow": False,
        "font": {"color": trial.colour},
    }
