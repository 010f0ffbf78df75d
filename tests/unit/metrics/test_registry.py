"""What people are told of a metric: its label, its unit, how it is made."""

from __future__ import annotations

import pytest

from autotuner.metrics import METRICS, Direction, find_metric


@pytest.mark.parametrize(
    ("column", "unit", "formula"),
    [
        ("ttft_mean_ms", "ms", "arithmetic mean of first token − sent (open loop: − scheduled send)"),
        ("e2e_p90_ms", "ms", "percentile 90, linear interpolation of last token − sent (open loop: − scheduled send)"),
        ("goodput_per_s", "requests/s", "requests in the window that meet every SLO / window"),
        ("goodput_per_s_per_gpu", "requests/s/GPU", "goodput_per_s / GPUs (without GPUs: / server replicas)"),
    ],
)
def test_unit_and_formula(column: str, unit: str, formula: str) -> None:
    metric = find_metric(column)
    assert metric is not None
    assert (metric.unit, metric.formula) == (unit, formula)


def test_only_rates_per_gpu_are_told_as_such() -> None:
    rates = ("output_tokens_per_s", "total_tokens_per_s", "requests_per_s", "goodput_per_s", "max_load")
    assert {metric.column for metric in METRICS if metric.per_gpu} == {f"{rate}_per_gpu" for rate in rates}
    metric = find_metric("goodput_per_s_per_gpu")
    assert metric is not None
    assert (metric.label_for(1), metric.label_for(0)) == ("Goodput per GPU", "Goodput per replica")


def test_less_of_times_costs_and_errors_is_better_and_more_of_rates() -> None:
    less = {metric.column for metric in METRICS if metric.direction is Direction.MIN}
    assert {"ttft_p99_ms", "cost_per_mtok", "error_rate", "energy_j_per_token", "server_preemptions"} <= less
    assert not less & {"goodput_per_s", "output_tokens_per_s_per_gpu", "tokens_per_s_per_user", "output_share"}


def test_a_column_that_is_no_metric_is_none() -> None:
    assert find_metric("ttft_p90") is None
