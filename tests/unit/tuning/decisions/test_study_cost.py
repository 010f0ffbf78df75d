"""What a study takes at the least and at the most, worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from autotuner.study.model import Study
from autotuner.tuning.decisions.budget import Spent
from autotuner.tuning.decisions.study_cost import (
    Launches,
    fewest_launches,
    least_spent,
    most_launches,
    most_spent,
    usual_least_spent,
)
from tests.tuning_parts import study

ENDPOINT: dict[str, Any] = {"launcher": {"kind": "endpoint", "url": "http://h:1"}}
VLLM: dict[str, Any] = {"engine": {"name": "vllm"}, "model": {"id": "org/model"}, "parameters": {"max-num-seqs": [64]}}


def rates(*values: float, arrival: str = "constant", per_level_s: float = 60, **more: Any) -> Study:
    load = {"rate": list(values), "arrival": arrival}
    workload = {"scenario": "D(8,4)", "load": load, "requests": {"per_level_s": per_level_s}}
    return study(workload=workload, **more)


def trials(count: int, confirm: int = 3, finalists: int = 1) -> dict[str, Any]:
    return {"search": {"trials": count, "confirm": confirm, "finalists": finalists}}


# ── launches ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sections", "configs", "launches"),
    [
        (trials(40), None, Launches(2, 6)),
        (trials(40), 2, Launches(2, 6)),
        (trials(40), 1, Launches(1, 0)),
        (trials(1), None, Launches(1, 0)),
        (trials(40, confirm=0), 5, Launches(2, 0)),
        (trials(40) | ENDPOINT, 5, Launches(1, 0)),
    ],
)
def test_the_fewest_launches_are_the_default_one_other_and_their_rounds(
    sections: dict[str, Any], configs: int | None, launches: Launches
) -> None:
    assert fewest_launches(study(**sections), configs) == launches


@pytest.mark.parametrize(
    ("sections", "configs", "launches"),
    [
        (trials(40), None, Launches(40, 6, 3)),
        (trials(40), 39, Launches(40, 6, 3)),
        (trials(40), 38, Launches(39, 6, 3)),
        (trials(40), 19, Launches(20, 6)),
        (trials(40), 3, Launches(4, 6)),
        (trials(40, finalists=3), None, Launches(40, 12, 3)),
        (trials(40, finalists=3), 2, Launches(3, 9)),
        (trials(40) | ENDPOINT, None, Launches(40, 0)),
    ],
)
def test_the_most_launches_are_all_trials_or_all_configs_and_the_default(
    sections: dict[str, Any], configs: int | None, launches: Launches
) -> None:
    assert most_launches(study(**sections), configs) == launches


# ── the least ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("sections", "start_s"),
    [
        ({}, 1),
        (VLLM, 10),
        (VLLM | {"engine": {"name": "vllm", "command": ["my-vllm"]}}, 1),
        (ENDPOINT, 0),
    ],
)
def test_no_launch_takes_less_than_a_process_or_what_a_large_engine_imports(
    sections: dict[str, Any], start_s: float
) -> None:
    given = study(**sections, **trials(1))
    assert least_spent(given, (2, 1), None) == Spent(start_s, 2 * start_s)


def test_an_engine_of_several_that_is_started_otherwise_may_be_quick() -> None:
    both = {"name": ["vllm", "sglang"]}
    assert least_spent(study(**VLLM | {"engine": both}, **trials(1)), (0, 0), None).wall_s == 10
    quick = both | {"per_engine": {"sglang": {"command": ["my-sglang"]}}}
    assert least_spent(study(**VLLM | {"engine": quick}, **trials(1)), (0, 0), None).wall_s == 1


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (rates(2), 119 / 2),  # 120 requests, the first one at once
        (rates(0.01), 0.0),
        (rates(4, arrival="poisson", per_level_s=100), (399 - 4 * 20) / 4),
        (rates(1, arrival="poisson", per_level_s=9), 0.0),  # 8 − 4 × 3
        (study(), 0.0),  # closed loop: as fast as any server could
    ],
)
def test_open_loop_takes_until_its_last_request_is_sent(given: Study, seconds: float) -> None:
    spent = usual_least_spent(given, (1, 1), 1)
    assert spent.wall_s == pytest.approx(1 + seconds)


def test_a_trace_takes_as_long_as_its_lines_at_that_speed(tmp_path: Any) -> None:
    trace = tmp_path / "t.jsonl"
    lines = [f'{{"timestamp": {at}, "input_length": 9, "output_length": 4}}' for at in (1000, 4000, 21_000, 90_000)]
    trace.write_text("\n".join(lines), encoding="utf-8")
    workload = {"scenario": {"trace": str(trace)}, "load": {"speed": [2]}, "requests": {"per_level_s": 10}}
    assert usual_least_spent(study(workload=workload), (1, 1), 1).wall_s == pytest.approx(1 + 20 / 2)


@pytest.mark.parametrize(("objective", "levels"), [("throughput", 1), ("ttft_p90", 2)])
def test_the_least_has_the_levels_that_cannot_be_given_up_the_usual_least_has_all(objective: str, levels: int) -> None:
    """61 requests of 1/s take 60 s, 122 of 2/s take 60.5 s; of the default all may be given up, of the other none."""
    given = rates(2, 1, per_level_s=61, objective=objective, **trials(40, confirm=2))
    first, second = 60.0, 60.5
    default, best = 1.0, 1 + first + (second if levels == 2 else 0)
    least = least_spent(given, (4, 1), None)
    assert least == Spent(best + 2 * (default + best), (1 + 2) * (default * 4 + best * 1))
    every = 1 + first + second
    usual = usual_least_spent(given, (4, 1), None)
    assert usual == Spent(every + 2 * (every + every), (1 + 2) * (every * 4 + every * 1))


def test_the_default_alone_is_measured_itself() -> None:
    given = rates(1, per_level_s=61, **trials(1))
    assert least_spent(given, (4, 1), None) == usual_least_spent(given, (4, 1), None) == Spent(61, 244)


# ── the most ──────────────────────────────────────────────────────────────────────────────────

LIMITS: dict[str, Any] = {"timeouts": {"start_s": 100, "rung_s": 50}, "fidelity": {"rungs": 3}}
TRIAL_S, ROUND_S = 250, 150


@pytest.mark.parametrize(
    ("sections", "at_a_time", "wall_s", "gpu_s"),
    [
        ({}, None, 10 * TRIAL_S + 4 * TRIAL_S, 2 * (10 * TRIAL_S + 4 * TRIAL_S)),
        ({}, 1, 10 * TRIAL_S + 4 * TRIAL_S, 2 * (10 * TRIAL_S + 4 * TRIAL_S)),
        ({}, 3, 4 * TRIAL_S + 4 * TRIAL_S, 2 * (10 * TRIAL_S + 4 * TRIAL_S)),
        ({}, 99, TRIAL_S + 4 * TRIAL_S, 2 * (10 * TRIAL_S + 4 * TRIAL_S)),
        ({"budget": {"wall_clock_h": 0.25}}, None, 900, 2 * (10 * TRIAL_S + 4 * TRIAL_S)),
        ({"budget": {"wall_clock_h": 0.25}}, 3, 900, 2 * 3 * 900),
        ({"budget": {"wall_clock_h": 9}}, 3, 4 * TRIAL_S + 4 * TRIAL_S, 2 * (10 * TRIAL_S + 4 * TRIAL_S)),
        ({"budget": {"gpu_hours": 0.5}}, 3, 4 * TRIAL_S + 4 * TRIAL_S, 1800 + 3 * ROUND_S * 2),
        ({"budget": {"gpu_hours": 0.5}}, None, 10 * TRIAL_S + 4 * TRIAL_S, 1800 + 10 * ROUND_S * 2),
        ({"budget": {"gpu_hours": 0.5}}, 99, TRIAL_S + 4 * TRIAL_S, 1800 + 10 * ROUND_S * 2),
        ({"budget": {"gpu_hours": 0.5}}, 1, 10 * TRIAL_S + 4 * TRIAL_S, 1800 + TRIAL_S * 2),  # a fresh run
        ({"budget": {"gpu_hours": 99}}, 3, 4 * TRIAL_S + 4 * TRIAL_S, 2 * (10 * TRIAL_S + 4 * TRIAL_S)),
    ],
)
def test_the_most_is_every_wait_to_its_end_cut_by_the_budget(
    sections: dict[str, Any], at_a_time: int | None, wall_s: float, gpu_s: float
) -> None:
    given = study(**LIMITS, **trials(10, confirm=2), **sections)
    assert most_spent(given, 2, None, at_a_time) == Spent(wall_s, min(gpu_s, 2 * (10 * TRIAL_S + 4 * TRIAL_S)))


def test_a_trials_own_limit_cuts_it_and_its_rounds() -> None:
    given = study(timeouts={"start_s": 100, "rung_s": 50, "trial_s": 120}, fidelity={"rungs": 3}, **trials(10, 2))
    assert most_spent(given, 1, None).wall_s == 10 * 120 + 4 * 120


def test_nothing_is_started_at_an_endpoint_and_nothing_confirmed() -> None:
    given = study(**LIMITS, **trials(10, confirm=2), **ENDPOINT)
    assert most_spent(given, 0, None) == Spent(10 * 150, 0)


def test_without_a_limit_of_a_trial_its_rungs_alone_limit_it() -> None:
    assert math.isfinite(most_spent(study(**LIMITS), 1, 3).wall_s)
