"""Figures: what they draw, by value; Plotly itself checks that each is a valid figure."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import pytest

from autotuner.metrics.load_level import LoadKind, LoadLevel
from autotuner.report.facts.importance import Importance, ParameterImportance
from autotuner.report.facts.points import Point, Standing
from autotuner.report.facts.scored_trials import ScoredTrial
from autotuner.report.facts.time_spent import TimeSpent, time_spent
from autotuner.report.figures import (
    Figure,
    Marked,
    confirmation_figure,
    importance_figure,
    latency_axes,
    parallel_figure,
    pareto_figure,
    rungs_figure,
    time_figure,
    user_axes,
)
from autotuner.report.figures.confirmation import ConfirmationRound
from autotuner.results.improvement import Improvement
from autotuner.results.records import Phase, RungRecord, TrialRecord, TrialState, Usage
from autotuner.results.uses import Use
from autotuner.scoring.score import Score
from autotuner.study.model import Slo


def valid(figure: Figure | None) -> Figure:
    assert figure is not None
    go.Figure(figure)
    return figure


def trace(figure: Figure, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [t for t in figure["data"] if name in str(t.get("name"))]
    assert len(found) == 1, [t.get("name") for t in figure["data"]]
    return found[0]


def trial(trial_id: str, state: TrialState = TrialState.COMPLETED, **config: Any) -> TrialRecord:
    return TrialRecord(trial_id, Phase.SEARCH, config, 0.0, state=state)


def point(trial_id: str, x: float, y: float, standing: Standing = Standing.MEETS, level: float = 1) -> Point:
    metrics = {
        "tokens_per_s_per_user": x,
        "output_tokens_per_s_per_gpu": y,
        "output_tokens_per_s": y,
        "ttft_p99_ms": x,
    }
    return Point(trial(trial_id, size=3), 2, "concurrency", level, 64, standing, metrics)


def scored(
    trial_id: str, *scores: float | None, state: TrialState = TrialState.COMPLETED, **config: Any
) -> ScoredTrial:
    level = LoadLevel(LoadKind.CONCURRENCY, 1)
    rungs = tuple(
        RungRecord(
            trial_id,
            k,
            "l1",
            Score(-1.0, False, False, None, None, {}, reason="too many <errors>")
            if value is None
            else Score(value, True, True, level, value, {}),
            (),
            0.0,
            Usage(),
        )
        for k, value in enumerate(scores)
    )
    return ScoredTrial(trial(trial_id, state, **config), rungs)


SLO = Slo.model_validate({"ttft": {"p90": {"threshold_ms": 300}}, "tpot": {"mean": {"threshold_ms": 40}}})


def test_the_front_of_two_maximised_metrics_is_connected_by_x() -> None:
    points = [point("0", 1, 9), point("1", 5, 5), point("2", 9, 1), point("3", 4, 4), point("4", 5, 4)]
    figure = valid(pareto_figure(points, user_axes(SLO), gpus=1, has_slo=True, marked=Marked()))
    front = trace(figure, "Pareto front")
    assert list(zip(front["x"], front["y"], strict=True)) == [(1, 9), (5, 5), (9, 1)]
    assert front["line"]["shape"] == "vh"


def test_the_front_of_latency_against_throughput_goes_up() -> None:
    points = [point("0", 1, 1), point("1", 5, 5), point("2", 6, 4), point("3", 9, 9)]
    figure = valid(pareto_figure(points, latency_axes(SLO), gpus=1, has_slo=True, marked=Marked()))
    front = trace(figure, "Pareto front")
    assert list(zip(front["x"], front["y"], strict=True)) == [(1, 1), (5, 5), (9, 9)]
    assert front["line"]["shape"] == "hv"


def test_what_is_infeasible_or_partial_is_drawn_apart_and_never_on_the_front() -> None:
    points = [
        point("0", 1, 1),
        point("1", 2, 2, Standing.VIOLATES),
        point("2", 8, 8, Standing.INFEASIBLE),
        point("3", 9, 9, Standing.PARTIAL),
    ]
    figure = valid(pareto_figure(points, user_axes(SLO), gpus=1, has_slo=True, marked=Marked()))
    assert trace(figure, "Pareto front")["x"] == [2]
    symbols = {standing: trace(figure, standing.value)["marker"]["symbol"] for standing in Standing}
    assert symbols[Standing.MEETS] != symbols[Standing.VIOLATES] != symbols[Standing.INFEASIBLE]


def test_slos_are_lines_and_a_tpot_threshold_is_a_speed() -> None:
    figure = valid(pareto_figure([point("0", 30, 1)], user_axes(SLO), gpus=1, has_slo=True, marked=Marked()))
    assert [(s["x0"], s["x1"]) for s in figure["layout"]["shapes"]] == [(25.0, 25.0)]
    assert [a["text"] for a in figure["layout"]["annotations"]] == ["TPOT mean ≤ 40 ms"]
    figure = valid(pareto_figure([point("0", 30, 1)], latency_axes(SLO), gpus=1, has_slo=True, marked=Marked()))
    assert [s["x0"] for s in figure["layout"]["shapes"]] == [300]


def test_a_label_on_a_logarithmic_axis_stands_at_its_line() -> None:
    points = [point("0", 1, 1), point("1", 1000, 2)]
    layout = valid(pareto_figure(points, latency_axes(SLO), gpus=1, has_slo=True, marked=Marked()))["layout"]
    assert layout["xaxis"]["type"] == "log"
    assert layout["annotations"][0]["x"] == pytest.approx(2.4771, abs=1e-4)


def test_without_gpus_the_axis_says_server_replica() -> None:
    def title(gpus: int) -> str:
        figure = valid(pareto_figure([point("0", 1, 1)], user_axes(SLO), gpus=gpus, has_slo=True, marked=Marked()))
        return str(figure["layout"]["yaxis"]["title"]["text"])

    assert title(0) == "output tokens/s per server replica"
    assert title(4) == "output tokens/s per GPU"


def test_marked_trials_are_curves_over_their_levels() -> None:
    points = [point("0", 1, 1, level=8), point("0", 2, 2, level=1), point("1", 3, 3)]
    marked = Marked(best="1", default="0", best_name="closest")
    figure = valid(pareto_figure(points, user_axes(SLO), gpus=1, has_slo=True, marked=marked))
    assert trace(figure, "default: trial 0")["x"] == [2, 1]
    assert trace(figure, "closest: trial 1")["x"] == [3]


def test_no_point_no_figure() -> None:
    assert pareto_figure([], user_axes(SLO), gpus=0, has_slo=False, marked=Marked()) is None
    assert rungs_figure([], rungs=3, objective="goodput", marked=Marked()) is None
    assert parallel_figure([scored("0", 1.0, a=1)], ["a"], objective="goodput") is None
    assert time_figure(()) is None
    assert confirmation_figure((), None, metric="goodput") is None


def test_every_trial_has_its_rungs_and_stopped_ones_are_told_apart() -> None:
    trials = [
        scored("0000", 1.0, 2.0, 3.0),
        scored("0001", 5.0, state=TrialState.STOPPED),
        scored("0002", 4.0, None, state=TrialState.FAILED),
    ]
    figure = valid(rungs_figure(trials, rungs=3, objective="goodput", marked=Marked(best="0000")))
    assert trace(figure, "reached the last rung")["y"] == [1.0, 2.0, 3.0, None]
    assert trace(figure, "stopped early")["y"] == [5.0, None]
    infeasible = trace(figure, "infeasible")
    assert infeasible["x"] == [1]
    assert infeasible["y"] == [1.0]  # the foot of the figure, not its score of −1
    assert "&lt;errors&gt;" in infeasible["hovertext"][0]
    assert trace(figure, "best: trial 0000")["y"] == [1.0, 2.0, 3.0]


def test_parallel_axes_place_numbers_categories_and_what_is_absent() -> None:
    ranked = [
        scored("0", 1.0, size=1, kind="a"),
        scored("1", 2.0, size=4, kind=None),
        scored("2", 3.0, size=2, kind=["x"], extra=True),
    ]
    figure = valid(parallel_figure(ranked, ["size", "kind", "extra"], objective="goodput"))
    heights: dict[str, list[float]] = {}
    for one in (t for t in figure["data"] if t["name"] != "best"):
        for start in range(0, len(one["x"]), 5):
            heights[one["hovertext"][start].split("</b>")[0]] = one["y"][start : start + 4]
    assert heights["<b>trial 0"] == [0.0, 0.0, 0.0, 0.0]
    assert heights["<b>trial 1"] == [1.0, 1.0, 0.0, 0.5]
    assert heights["<b>trial 2"] == [0.5, 0.5, 1.0, 1.0]
    assert trace(figure, "best")["y"][:4] == heights["<b>trial 2"]
    assert "(absent)" in [a["text"] for a in figure["layout"]["annotations"]]


def test_importance_bars_stand_best_on_top() -> None:
    found = Importance(9, 0.5, (ParameterImportance("a", 0.75, 0.1), ParameterImportance("<b>", 0.25, 0.0)))
    bars = valid(importance_figure(found))["data"][0]
    assert bars["x"] == [25.0, 75.0]
    assert bars["y"] == ["&lt;b&gt;", "a"]


def test_confirmation_shows_rounds_and_interval() -> None:
    rounds = [ConfirmationRound(1, 2.0, 3.0), ConfirmationRound(2, 2.1, None)]
    improvement = Improvement("goodput", 1.5, (1.25, 1.8), True, 2, "")
    figure = valid(confirmation_figure(rounds, improvement, metric="Goodput"))
    assert trace(figure, "default")["y"] == [2.0, 2.1]
    ratio = trace(figure, "ratio")
    assert ratio["x"] == [1.5]
    assert ratio["error_x"]["array"] == [pytest.approx(0.3)]
    assert ratio["error_x"]["arrayminus"] == [pytest.approx(0.25)]
    plain = valid(confirmation_figure(rounds, None, metric="Goodput"))
    assert len(plain["data"]) == 2


def test_confirmation_shows_the_other_finalists_too() -> None:
    rounds = [ConfirmationRound(1, 2.0, 3.0, {"0007": 2.9}), ConfirmationRound(2, 2.1, 3.1)]
    figure = valid(confirmation_figure(rounds, None, metric="Goodput"))
    assert trace(figure, "trial 0007")["y"] == [2.9, None]


def test_time_parts_add_up_to_what_was_reserved() -> None:
    def record(trial_id: str, state: TrialState, usage: Usage) -> TrialRecord:
        return TrialRecord(trial_id, Phase.SEARCH, {}, 0.0, state=state, usage=usage)

    spent = time_spent(
        [
            record("1", TrialState.FAILED, Usage(10, 8, 0)),
            record("0", TrialState.COMPLETED, Usage(10, 2, 7, 3)),
        ]
    )
    nothing = dict.fromkeys(Use, 0)
    assert spent == (
        TimeSpent("0", nothing | {Use.STARTING: 2, Use.WARMING_UP: 3, Use.MEASURING: 4, Use.IDLE: 1}),
        TimeSpent("1", nothing | {Use.FAILED: 10}),
    )
    figure = valid(time_figure(spent))
    assert trace(figure, "failed")["y"] == [0, 10]
    assert figure["layout"]["barmode"] == "stack"
