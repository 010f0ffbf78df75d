"""The figure of what servers told: what it draws, by value."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go

from autotuner.metrics import LoadKind, LoadLevel, TelemetrySample
from autotuner.report.facts.told_by_servers import ToldSpan
from autotuner.report.figures import Figure, ToldTrial, telemetry_figure


def span(start_s: float, level: float, *samples: TelemetrySample) -> ToldSpan:
    return ToldSpan(0, LoadLevel(LoadKind.CONCURRENCY, level), start_s, 2.0, samples)


def told(name: str, *spans: ToldSpan) -> ToldTrial:
    return ToldTrial(name, "#000000", "0000", spans)


def drawn(*trials: ToldTrial) -> Figure:
    figure = telemetry_figure(trials)
    assert figure is not None
    go.Figure(figure)
    return figure


def trace(figure: Figure, name: str) -> dict[str, Any]:
    (found,) = [t for t in figure["data"] if t["name"] == name]
    assert isinstance(found, dict)
    return found


def test_load_points_stand_end_to_end_with_a_gap_and_a_mark_between() -> None:
    first = span(0.0, 4, TelemetrySample(0.5, running=1.0, waiting=3.0), TelemetrySample(1.0, running=2.0))
    second = span(2.0, 8, TelemetrySample(0.25, running=5.0))
    figure = drawn(told("default", first, second))
    assert trace(figure, "default: running")["x"] == [0.5, 1.0, None, 2.25, None]
    assert trace(figure, "default: running")["y"] == [1.0, 2.0, None, 5.0, None]
    assert trace(figure, "default: waiting")["y"] == [3.0, None, None]
    assert [shape["x0"] for shape in figure["layout"]["shapes"]] == [0.0, 2.0]
    assert [note["text"] for note in figure["layout"]["annotations"]][:2] == ["4", "8"]
    assert "concurrency 8 · rung 0" in trace(figure, "default: running")["hovertext"][3]


def test_default_and_best_have_columns_of_one_scale() -> None:
    both = span(0.0, 4, TelemetrySample(0.5, running=1.0, kv_cache_use=0.5))
    figure = drawn(told("default", both), told("best", both))
    axes = {name: trace(figure, name) for name in ("default: running", "best: running", "best: KV cache")}
    assert len({(t["xaxis"], t["yaxis"]) for t in axes.values()}) == 3
    layout = figure["layout"]
    assert layout["xaxis"]["domain"][1] < layout["xaxis2"]["domain"][0]
    assert layout["yaxis2"]["matches"] == "y"
    assert layout["yaxis4"]["matches"] == "y3"
    assert layout["yaxis"]["domain"][1] < layout["yaxis3"]["domain"][0]


def test_what_nobody_told_has_no_panel_and_no_column() -> None:
    running = span(0.0, 4, TelemetrySample(0.5, running=1.0))
    silent = span(0.0, 4, TelemetrySample(0.5, gpu_power_w=100.0))
    figure = drawn(told("default", silent), told("best", running))
    assert [t["name"] for t in figure["data"]] == ["best: running"]
    assert "yaxis2" not in figure["layout"]


def test_nothing_told_nothing_drawn() -> None:
    assert telemetry_figure([]) is None
    assert telemetry_figure([told("default")]) is None
    assert telemetry_figure([told("default", span(0.0, 4))]) is None


def test_hours_of_samples_stay_light() -> None:
    many = span(0.0, 4, *(TelemetrySample(n / 2, running=float(n)) for n in range(100_000)))
    marks = trace(drawn(told("default", many)), "default: running")["x"]
    assert len(marks) <= 1502
    assert marks[0] == 0
    assert marks[-2] > 49_000
