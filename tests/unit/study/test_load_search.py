"""The keys of a load search, its own defaults, and what does not go together with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from autotuner.errors import StudyError
from autotuner.study import dump_study, parse_study
from autotuner.study.loader import load_study_text
from autotuner.study.model import FindMaxLoad, Study


def study(load: str, *, slo: str = "{ttft: {p90: 300ms}}", **keys: str) -> Study:
    lines = [f"{key}: {value}" for key, value in keys.items()]
    text = "\n".join(
        [
            "model: {id: org/model}",
            "engine: {name: vllm}",
            f"slo: {slo}",
            f'workload: {{scenario: "D(100,20)", load: {load}}}',
            *lines,
        ]
    )
    return load_study_text(text, Path.cwd()).study


def refused(*args: Any, **keys: Any) -> tuple[str | None, str]:
    with pytest.raises(StudyError) as caught:
        study(*args, **keys)
    return caught.value.key, caught.value.message


def test_its_defaults_are_those_of_a_search() -> None:
    found = study("{find_max: concurrency}")
    load = found.workload.load
    assert isinstance(load, FindMaxLoad)
    assert (load.find_max, load.first, load.up_to, load.arrival) == ("concurrency", 1, 512, "poisson")
    assert found.objectives == ("max_load_per_gpu",)
    assert found.fidelity.rungs == 1


def test_what_is_given_stays() -> None:
    found = study("{find_max: rate, from: 0.5, up_to: 20, arrival: constant}", objective="goodput", fidelity="{eta: 4}")
    load = found.workload.load
    assert isinstance(load, FindMaxLoad)
    assert (load.first, load.up_to, load.arrival) == (0.5, 20, "constant")
    assert (found.objectives, found.fidelity.eta, found.fidelity.rungs) == (("goodput",), 4, 1)


def test_other_studies_keep_their_defaults() -> None:
    found = study("{concurrency: [1, 8]}")
    assert (found.objectives, found.fidelity.rungs) == (("goodput_per_gpu",), 3)


def test_a_resolved_study_reads_back_the_same() -> None:
    found = study("{find_max: rate, from: 0.5}")
    assert "from: 0.5" in dump_study(found)
    assert parse_study(dump_study(found)) == found


@pytest.mark.parametrize("bounds", ["from: 8, up_to: 8", "from: 8, up_to: 2"])
def test_bounds_the_wrong_way_round_are_refused(bounds: str) -> None:
    key, message = refused(f"{{find_max: concurrency, {bounds}}}")
    assert key == "workload.load.up_to"
    assert "more than workload.load.from, which is 8" in message


def test_half_a_request_in_flight_is_refused() -> None:
    assert refused("{find_max: concurrency, from: 1.5}")[0] == "workload.load.from"
    assert refused("{find_max: concurrency, up_to: 9.5}")[0] == "workload.load.up_to"


def test_an_arrival_is_for_a_rate() -> None:
    assert refused("{find_max: concurrency, arrival: constant}")[0] == "workload.load.arrival"


def test_without_a_limit_on_a_latency_there_is_no_largest_load() -> None:
    key, message = refused("{find_max: concurrency}", slo="{error_rate: 0.05}")
    assert key == "slo"
    assert "needs a limit on a latency" in message


def test_it_is_one_rung() -> None:
    key, message = refused("{find_max: concurrency}", fidelity="{rungs: 3}")
    assert key == "fidelity.rungs"
    assert "a load search is one rung" in message


@pytest.mark.parametrize("name", ["max_load", "max_load_per_gpu"])
def test_what_it_finds_is_no_objective_of_listed_levels(name: str) -> None:
    key, message = refused("{concurrency: [1, 8]}", objective=name)
    assert key == "objective"
    assert "needs a load search" in message


@pytest.mark.parametrize(
    "name", ["ttft_p90", "ttft_visible_p90", "tpot_mean", "itl_p99", "e2e_p50", "tokens_per_s_per_user"]
)
def test_a_mean_over_levels_is_no_objective_of_a_search(name: str) -> None:
    key, message = refused("{find_max: concurrency}", objective=name)
    assert key == "objective"
    assert "mean over load levels" in message


def test_an_unknown_kind_is_told_the_two() -> None:
    assert refused("{find_max: speed}")[0] == "workload.load.find_max"
