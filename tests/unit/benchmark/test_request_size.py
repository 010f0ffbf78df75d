"""How large a workload's requests are, all but as many as may fail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autotuner.benchmark.traffic.request_size import longest_request_tokens
from autotuner.study.model import Workload


def workload(scenario: Any, *, requests: int = 10, **more: Any) -> Workload:
    """``requests`` at a concurrency of 1."""
    load = {"load": {"concurrency": [1]}, "requests": {"per_slot": 1, "min": requests}}
    return Workload.model_validate({"scenario": scenario, **load, **more})


def trace(tmp_path: Path, *sizes: int) -> dict[str, str]:
    """A line of so many tokens each, one of them of the answer, a second apart."""
    path = tmp_path / "trace.jsonl"
    lines = [{"timestamp_s": n, "input_tokens": size - 1, "output_tokens": 1} for n, size in enumerate(sizes)]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return {"trace": str(path)}


def dataset(tmp_path: Path, *sizes: int) -> dict[str, str]:
    """Prompts, whose tokens only the model knows, with answers that make so many tokens with one of the prompt."""
    path = tmp_path / "dataset.jsonl"
    lines = [{"prompt": f"p{n}", "output_tokens": size - 1} for n, size in enumerate(sizes)]
    path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    return {"dataset": str(path)}


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("D(100,20)", 120), ("U(10,50)/(3,7)", 57), ("N(100.6,5)/(20.3,9)", 120), ("N(100.6,5)/(20.5,9)", 121)],
)
def test_of_a_scenario_its_longest_of_a_normal_distribution_one_at_the_means(text: str, tokens: int) -> None:
    assert longest_request_tokens(workload(text)) == tokens


def test_of_a_mix_the_longest_scenario_and_no_file(tmp_path: Path) -> None:
    parts = [{"scenario": "D(9,1)"}, {"scenario": "D(90,10)"}, {"scenario": trace(tmp_path, 500)}]
    assert longest_request_tokens(workload(None, scenarios=parts)) == 100
    assert longest_request_tokens(workload(None, scenarios=parts[2:])) is None


@pytest.mark.parametrize(
    ("error_rate", "tokens"), [(0.0, 100), (0.09, 100), (0.1, 90), (0.19, 90), (0.2, 80), (1.0, 10)]
)
def test_as_many_of_the_longest_lines_as_may_fail_do_not_count(tmp_path: Path, error_rate: float, tokens: int) -> None:
    sizes = range(10, 101, 10)
    for source in (trace(tmp_path, *sizes), dataset(tmp_path, *sizes)):
        assert longest_request_tokens(workload(source), error_rate) == tokens


def test_a_trace_is_sent_from_its_first_line_on(tmp_path: Path) -> None:
    assert longest_request_tokens(workload(trace(tmp_path, 10, 20, 900), requests=2)) == 20
    assert longest_request_tokens(workload(trace(tmp_path, 10, 20, 900), requests=3)) == 900


@pytest.mark.parametrize(("requests", "tokens"), [(4, 40), (3, 30), (1, 10), (9, 40)])
def test_of_a_dataset_any_lines_may_be_left_out(tmp_path: Path, requests: int, tokens: int) -> None:
    assert longest_request_tokens(workload(dataset(tmp_path, 10, 20, 30, 40), requests=requests)) == tokens


def test_the_level_that_sends_most_counts(tmp_path: Path) -> None:
    given = workload(trace(tmp_path, *[10] * 8, 70), load={"concurrency": [1, 9, 2]}, requests=1)
    assert longest_request_tokens(given) == 70
