"""What a workload can never tell is known before anything starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autotuner.benchmark import check_workload
from autotuner.benchmark.measurable import workload_problems
from autotuner.engines import Problem
from tests.engine_studies import study

LIMITS = {
    "ttft": {"p90": {"threshold_ms": 100}},
    "tpot": {"mean": {"threshold_ms": 5}, "per_request_ms": 9},
    "itl": {"p99": {"threshold_ms": 7}},
}


def problems(scenario: Any, **sections: Any) -> list[Problem]:
    workload = {"scenario": scenario, **sections.pop("workload", {})}
    given = study(workload=workload, slo=LIMITS, **sections)
    return workload_problems(given, check_workload(given.workload))


@pytest.mark.parametrize("scenario", ["D(100,1)", "U(5,9)/(1,1)", "N(50,9)/(1,0)"])
def test_one_token_has_no_time_between_tokens(scenario: str) -> None:
    found = problems(scenario, objective=["tpot_mean", "throughput", "tokens_per_s_per_user"])
    assert [p.key for p in found] == [
        "slo.tpot.mean",
        "slo.itl.p99",
        "slo.tpot.per_request_ms",
        "objective",
        "objective",
    ]
    assert [p.value for p in found] == [5, 7, 9, "tpot_mean", "tokens_per_s_per_user"]
    assert all(p.fatal for p in found)


@pytest.mark.parametrize("scenario", ["D(100,2)", "U(5,9)/(1,2)", "N(50,9)/(1,1)"])
def test_two_tokens_have_one(scenario: str) -> None:
    assert problems(scenario, objective="tpot_mean") == []


def dataset(tmp_path: Path, prompts: int, output_tokens: int) -> dict[str, str]:
    path = tmp_path / "d.jsonl"
    lines = [json.dumps({"prompt": f"q{n}", "output_tokens": output_tokens}) for n in range(prompts)]
    path.write_text("\n".join(lines))
    return {"dataset": str(path)}


def test_a_dataset_of_one_token_answers(tmp_path: Path) -> None:
    assert [p.key for p in problems(dataset(tmp_path, 400, 1)) if p.fatal][:1] == ["slo.tpot.mean"]
    assert problems(dataset(tmp_path, 400, 2)) == []


@pytest.mark.parametrize(("prompts", "told"), [(63, True), (64, False)])
def test_prompts_that_must_repeat_are_told(tmp_path: Path, prompts: int, told: bool) -> None:
    load = {"load": {"concurrency": [1, 2]}, "requests": {"per_slot": 8, "min": 64}}
    found = problems(dataset(tmp_path, prompts, 4), workload=load)
    assert [(p.value, p.fatal) for p in found] == ([(63, False)] if told else [])
    assert problems(dataset(tmp_path, prompts, 4), workload={**load, "cache": "warm"}) == []
