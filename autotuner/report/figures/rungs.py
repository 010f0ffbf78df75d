"""Every trial's score, rung by rung."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autotuner.report.facts.scored_trials import ScoredTrial
from autotuner.report.facts.worth import score_words
from autotuner.report.figures.style import BAD, BEST, DEFAULT, MEETS, MUTED, Figure, Marked, axis, log_if_wide
from autotuner.report.text import config_text, figure_lines, figure_text
from autotuner.results.records import TrialState
from autotuner.scoring.score import Score

_GROUPS = (
    ("stopped early", MUTED, 1.2, 0.7),
    ("failed in a later rung", BAD, 1.5, 0.9),
    ("reached the last rung", MEETS, 1.6, 0.8),
)


def rungs_figure(trials: Sequence[ScoredTrial], *, rungs: int, objective: str, marked: Marked) -> Figure | None:
    """``None`` where no rung has ended."""
    if not trials:
        return None
    shown = [r.score.score for t in trials for r in t.rungs if r.score.feasible]
    floor = min(shown, default=0.0)
    data = [_lines(name, colour, width, alpha, trials, floor) for name, colour, width, alpha in _GROUPS]
    data.append(_infeasible(trials, floor))
    styles = {marked.default: ("default", DEFAULT, "diamond"), marked.best: (marked.best_name, BEST, "star")}
    data += [_marked(t, *styles[t.trial.trial_id]) for t in trials if t.trial.trial_id in styles]
    ticks = list(range(rungs))
    layout = {
        "xaxis": axis("rung", tickvals=ticks, ticktext=[str(k) for k in ticks], range=[-0.15, rungs - 0.85]),
        "yaxis": axis(f"score: {objective} after SLO penalties", **log_if_wide(shown)),
        "hovermode": "closest",
        "height": 420,
    }
    return {"data": [trace for trace in data if trace["x"]], "layout": layout}


def _group(trial: ScoredTrial) -> str:
    if trial.trial.state is TrialState.FAILED:
        return "failed in a later rung"
    return "reached the last rung" if trial.trial.state is TrialState.COMPLETED else "stopped early"


def _lines(
    name: str, colour: str, width: float, alpha: float, trials: Sequence[ScoredTrial], floor: float
) -> dict[str, Any]:
    """One trace for all trials of a group: a gap parts them, so that 500 trials stay light."""
    x: list[int | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for trial in trials:
        if _group(trial) != name:
            continue
        for rung in trial.rungs:
            x.append(rung.rung)
            y.append(rung.score.score if rung.score.feasible else floor)
            text.append(_hover(trial, rung.rung, rung.score))
        x.append(None)
        y.append(None)
        text.append("")
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
        "marker": {"color": colour, "size": 6},
    }


def _infeasible(trials: Sequence[ScoredTrial], floor: float) -> dict[str, Any]:
    """An infeasible score is only a very bad number: its place is the foot of the figure."""
    found = [(t, r) for t in trials for r in t.rungs if not r.score.feasible]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "infeasible (drawn at the foot)",
        "x": [r.rung for _, r in found],
        "y": [floor for _ in found],
        "hovertext": [f"{_hover(t, r.rung, r.score)}<br>{figure_lines(r.score.reason)}" for t, r in found],
        "hoverinfo": "text",
        "marker": {"symbol": "x", "size": 8, "color": BAD},
    }


def _marked(trial: ScoredTrial, name: str, colour: str, symbol: str) -> dict[str, Any]:
    rungs = [r for r in trial.rungs if r.score.feasible]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": f"{name}: trial {figure_text(trial.trial.trial_id)}",
        "x": [r.rung for r in rungs],
        "y": [r.score.score for r in rungs],
        "hovertext": [_hover(trial, r.rung, r.score) for r in rungs],
        "hoverinfo": "text",
        "line": {"color": colour, "width": 3},
        "marker": {"symbol": symbol, "size": 12, "color": colour},
    }


def _hover(trial: ScoredTrial, rung: int, score: Score) -> str:
    told = score_words(score)
    return (
        f"<b>trial {figure_text(trial.trial.trial_id)}</b> · rung {rung} · {told} · {trial.trial.state}<br>"
        + figure_lines(config_text(trial.trial.config), 70)
    )
