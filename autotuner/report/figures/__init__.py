"""Figures of the report, as Plotly's own JSON: ``data`` and ``layout``. Colours of text and grid come with the page."""

from autotuner.report.figures.confirmation import confirmation_figure
from autotuner.report.figures.importance import importance_figure
from autotuner.report.figures.load_search import load_search_figure
from autotuner.report.figures.parallel import parallel_figure
from autotuner.report.figures.pareto import ParetoAxes, Spot, latency_axes, objective_axes, pareto_figure, user_axes
from autotuner.report.figures.rungs import rungs_figure
from autotuner.report.figures.style import Figure, Marked
from autotuner.report.figures.telemetry import ToldTrial, telemetry_figure
from autotuner.report.figures.time_spent import time_figure

__all__ = [
    "Figure",
    "Marked",
    "ParetoAxes",
    "Spot",
    "ToldTrial",
    "confirmation_figure",
    "importance_figure",
    "latency_axes",
    "load_search_figure",
    "objective_axes",
    "parallel_figure",
    "pareto_figure",
    "rungs_figure",
    "telemetry_figure",
    "time_figure",
    "user_axes",
]
