"""By how much metrics differ from run to run, worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from autotuner.results.noise import MetricNoise, find_noise, watched_columns
from autotuner.results.records import Phase, TrialState
from tests.known_results import Known
from tests.tuning_parts import study

TTFT = "ttft_p90_ms"


def known(**trials: dict[float, float]) -> Known:
    """Trials of one rung by id, ``t0001_c1`` for 0001-c1: load level → TTFT."""
    made = Known({"objective": "ttft_p90"})
    for name, levels in trials.items():
        made.trial(name[1:].replace("_", "-"), {level: {TTFT: value} for level, value in levels.items()})
    return made


def noise(given: Known) -> MetricNoise | None:
    found = find_noise([TTFT], given.trials, given.rungs)
    assert len(found) <= 1
    return found[0] if found else None


def mark(given: Known, trial_id: str, **changes: object) -> Known:
    """The trial's load points, changed."""
    (rung,) = given.rungs[trial_id]
    given.rungs[trial_id] = (replace(rung, measurements=tuple(replace(m, **changes) for m in rung.measurements)),)  # type: ignore[arg-type]
    return given


def test_one_run_tells_nothing() -> None:
    assert noise(known(t0000={1: 100}, t0001={1: 90})) is None
    assert noise(known(t0000={1: 100}, t0001_c1={1: 90})) is None


def test_a_run_in_the_search_and_a_fresh_one_are_two_of_the_same() -> None:
    """The variance of two values is half the square of their difference."""
    found = noise(known(t0000={1: 100}, t0000_c1={1: 110}))
    assert found is not None
    assert found.deviation == pytest.approx(math.log(1.1) / math.sqrt(2))
    assert (found.metric, found.freedom, found.configs, found.runs) == (TTFT, 1, 1, 2)


def test_load_points_are_pooled_and_those_of_one_launch_count_once() -> None:
    """Of 100 and 110, and of 200 and 200: half of the variance of the first."""
    found = noise(known(t0000={1: 100, 2: 200}, t0000_c1={1: 110, 2: 200}))
    assert found is not None
    assert found.deviation == pytest.approx(math.log(1.1) / 2)
    assert (found.freedom, found.runs) == (1, 2)


def test_what_all_of_a_round_share_is_no_noise() -> None:
    found = noise(known(t0000_c1={1: 100}, t0000_c2={1: 120}, t0001_c1={1: 50}, t0001_c2={1: 60}))
    assert found is not None
    assert found.deviation == pytest.approx(0, abs=1e-9)
    assert (found.freedom, found.configs, found.runs) == (1, 2, 4)


def test_references_are_runs_of_the_default_unless_the_machine_drifted() -> None:
    """Of 100, 110 and 100 the variance is 2/3 of the square of log 1.1, over two degrees of freedom."""
    given = known(t0000={1: 100, 2: 50})
    for number, value in ((1, 110.0), (2, 100.0)):
        given.trial(f"0000-r{number}", {1: {TTFT: value}}, phase=Phase.REFERENCE)
    found = noise(given)
    assert found is not None
    assert found.deviation == pytest.approx(math.log(1.1) / math.sqrt(3))
    assert (found.freedom, found.configs, found.runs) == (2, 1, 3)
    assert find_noise([TTFT], given.trials, given.rungs, drifted=True) == ()


def test_only_whole_sound_runs_of_as_many_requests_are_repeats() -> None:
    def pair() -> Known:
        return known(t0000={1: 100}, t0000_c1={1: 110})

    assert noise(mark(pair(), "0000", disturbed="others spin")) is None
    assert noise(mark(pair(), "0000-c1", stopped_early="hopeless")) is None
    assert noise(mark(pair(), "0000", requests=40)) is None
    stopped = pair()
    stopped.trials[0] = replace(stopped.trials[0], state=TrialState.STOPPED)
    assert noise(stopped) is None


def test_a_value_of_0_has_no_share() -> None:
    assert noise(known(t0000={1: 0}, t0000_c1={1: 110})) is None


def test_objectives_slos_and_the_usual_metrics_are_watched_each_once() -> None:
    asked = study(objective=["throughput_per_gpu", "ttft_p90"], slo={"e2e": {"p99": {"threshold_ms": 100}}})
    assert watched_columns(asked) == (
        *("output_tokens_per_s_per_gpu", "ttft_p90_ms", "e2e_p99_ms"),
        *("tpot_mean_ms", "e2e_p90_ms"),
    )
    assert watched_columns(study(objective="goodput"))[-1] == "output_tokens_per_s"


def test_the_largest_load_of_a_search_is_not_watched() -> None:
    load = {"scenario": "D(8,4)", "load": {"find_max": "concurrency"}}
    assert "max_load_per_gpu" not in watched_columns(study(objective="max_load_per_gpu", workload=load))


def test_the_summary_has_it() -> None:
    results = known(t0000={1: 100}, t0000_c1={1: 110}).results()
    assert results.summary["noise"] == [
        {"metric": TTFT, "deviation": results.noise[0].deviation, "freedom": 1, "configs": 1, "runs": 2}
    ]
