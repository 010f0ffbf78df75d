"""Metrics of load points of which only the figures were recorded, and what a trial's context says of its costs."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.metrics import LoadKind, LoadLevel, MeasureContext, Measurement, PointRun, measure
from autotuner.metrics.context import measure_context
from autotuner.metrics.request import Replayed
from tests.tuning_parts import study

LEVEL = LoadLevel(LoadKind.CONCURRENCY, 1)


def recorded(*tables: dict[str, float] | None, requests: int = 10, **context: Any) -> Measurement:
    """A run of each table, ``None`` for one that has requests of its own."""
    runs = [
        PointRun(LEVEL, (), replayed=None if table is None else Replayed(requests, table), notes=("read", str(number)))
        for number, table in enumerate(tables)
    ]
    return measure(LEVEL, runs, MeasureContext(**{"gpus": 4, "replicas": 1, "request_timeout_s": 60, **context}))


def test_figures_are_as_they_were_recorded_and_means_where_runs_differ() -> None:
    found = recorded({"ttft_p90_ms": 100, "e2e_p50_ms": 9}, {"ttft_p90_ms": 300})
    assert dict(found.metrics) == {"ttft_p90_ms": 200, "e2e_p50_ms": 9}
    assert (found.requests, found.errors, found.notes) == (20, 0, ("read", "0", "1"))


def test_runs_of_which_nothing_was_recorded_count_for_nothing_beside_those() -> None:
    assert recorded(None, {"ttft_p90_ms": 100}).requests == 10


def test_errors_are_their_share_of_the_requests() -> None:
    assert recorded({"error_rate": 0.26}).errors == 3


def test_what_is_made_of_rates_is_added_where_it_was_not_recorded() -> None:
    found = recorded({"output_tokens_per_s": 100.0, "goodput_per_s": 2.0, "ttft_p90_ms": 5.0}, cost_per_hour=3.6)
    assert dict(found.metrics) == pytest.approx(
        {
            "output_tokens_per_s": 100,
            "goodput_per_s": 2,
            "ttft_p90_ms": 5,
            "output_tokens_per_s_per_gpu": 25,
            "goodput_per_s_per_gpu": 0.5,
            "cost_per_mtok": 3.6e6 / 360_000,
            "output_tokens_per_cost": 100_000,
            "goodput_per_cost": 2000,
        }
    )
    own = recorded({"output_tokens_per_s": 100.0, "output_tokens_per_s_per_gpu": 7.0})
    assert own.metrics["output_tokens_per_s_per_gpu"] == 7


@pytest.mark.parametrize(
    ("rates", "price", "costs"),
    [
        ({"goodput_per_s": 2.0}, 3.6, {"goodput_per_cost"}),
        ({"output_tokens_per_s": 2.0}, 3.6, {"cost_per_mtok", "output_tokens_per_cost"}),
        ({"output_tokens_per_s": 2.0, "goodput_per_s": 2.0}, 0.0, {"cost_per_mtok"}),
        ({"output_tokens_per_s": 0.0}, 3.6, {"output_tokens_per_cost"}),
        ({"output_tokens_per_s": 2.0}, None, set()),
    ],
)
def test_costs_are_those_that_can_be_had(rates: dict[str, float], price: float | None, costs: set[str]) -> None:
    assert {name for name in recorded(rates, cost_per_hour=price).metrics if "cost" in name} == costs


@pytest.mark.parametrize(
    ("hardware", "cost"),
    [
        ({}, None),
        ({"cost_per_cpu_hour": 0.1}, 0.8),
        ({"accelerators": ["H100-80GB"], "cost_per_gpu_hour": {"H100-80GB": 2.5}}, 5.0),
        ({"accelerators": ["H100-80GB"], "cost_per_gpu_hour": {"H100-80GB": 2.5}, "cost_per_cpu_hour": 0.1}, 5.8),
        ({"accelerators": ["H100-80GB"], "cost_per_gpu_hour": {"H100-80GB": 0.0}}, 0.0),
    ],
)
def test_a_trials_hour_costs_its_gpus_and_cores_where_they_have_a_price(
    hardware: dict[str, Any], cost: float | None
) -> None:
    given = study(hardware=hardware, timeouts={"request_s": 7}, slo={"ttft": {"per_request_ms": 9}})
    context = measure_context(given, gpus=2, cpus=8, replicas=3, accelerator="H100-80GB")
    assert context.cost_per_hour == (None if cost is None else pytest.approx(cost))
    assert (context.gpus, context.replicas, context.request_timeout_s) == (2, 3, 7)
    assert context.limits_ms == {"ttft": 9}
