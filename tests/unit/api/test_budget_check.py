"""Budgets that can hold no recommendation, and what a plan says of hours and money."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from autotuner.api.check_report import CheckReport
from autotuner.api.checking import check
from autotuner.errors import StudyError
from tests.engine_studies import study

H100 = {"accelerators": ["H100-80GB"], "cost_per_gpu_hour": 2.0}
RATES = {"scenario": "D(100,10)", "load": {"rate": [1, 2], "arrival": "constant"}, "requests": {"per_level_s": 100}}


def asked(**sections: Any) -> CheckReport:
    space = {"parallelism": {"tp": [1, 2]}, "parameters": {"max-num-seqs": [8, 16]}}
    return check(study(**{"hardware": H100, "space": space, "workload": RATES, **sections}))


def refused(**sections: Any) -> StudyError:
    with pytest.raises(StudyError) as caught:
        asked(**sections)
    return caught.value


# A launch takes 10 s at the least, and its two rates 99 s and 99.5 s. Two trials and 2 rounds of both are 3 launches of
# the default, whose load may be given up at once, and 3 of another Config, whose lowest rate may not, or 6 of all.
LEAST_GPU_S, LEAST_WALL_S = 3 * (10 + 109), 109 + 2 * (10 + 109)
USUAL_GPU_S, USUAL_WALL_S = 6 * 208.5, 5 * 208.5


@pytest.mark.parametrize(
    ("name", "least_s", "least", "usual"),
    [("gpu_hours", LEAST_GPU_S, "0.1 GPU-hours", "0.35"), ("wall_clock_h", LEAST_WALL_S, "0.097 hours", "0.29")],
)
def test_a_budget_below_one_trial_and_its_confirmation_is_refused_with_what_is_needed(
    name: str, least_s: float, least: str, usual: str
) -> None:
    error = refused(search={"confirm": 2}, budget={name: least_s / 3600 * 0.999})
    assert error.key == f"budget.{name}"
    assert error.nearest == usual
    assert f"2 rounds of confirmation take {least} at the least" in error.message
    asked(search={"confirm": 2}, budget={name: least_s / 3600 * 1.0001})


@pytest.mark.parametrize(
    ("name", "usual_s", "usual"),
    [("gpu_hours", USUAL_GPU_S, "0.35 GPU-hours"), ("wall_clock_h", USUAL_WALL_S, "0.29 hours")],
)
def test_a_budget_below_every_load_point_in_full_is_told(name: str, usual_s: float, usual: str) -> None:
    def warnings(hours: float) -> str:
        return "\n".join(asked(search={"confirm": 2}, budget={name: hours}).warnings)

    assert f"take {usual} with every load point in full" in warnings(usual_s / 3600 * 0.999)
    assert "budget" not in warnings(usual_s / 3600 * 1.0001)


def test_where_there_is_one_config_nothing_is_confirmed() -> None:
    one = asked(space={"parallelism": {"tp": 1}}, budget={"wall_clock_h": 209 / 3600})
    assert not [text for text in one.warnings if "budget" in text]
    error = refused(space={"parallelism": {"tp": 1}}, budget={"wall_clock_h": 100 / 3600})
    assert "the default takes 0.031 hours at the least" in error.message


def test_what_is_averaged_over_all_levels_needs_all_of_them() -> None:
    latency = asked(objective="ttft_p90", search={"confirm": 2}).cost.least
    assert latency.gpu_s == 3 * (10 + 208.5)


@pytest.mark.parametrize("budget", [{"gpu_hours": 0.01}, {"wall_clock_h": 0.001}])
@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
def test_seconds_are_no_budget_of_servers_that_load_for_minutes(engine: str, budget: dict[str, float]) -> None:
    workload = {"scenario": "D(1000,200)"}
    space = {"parallelism": {"tp": [1, 2]}}
    assert "budget." in (refused(engine={"name": engine}, workload=workload, space=space, budget=budget).key or "")


def test_seconds_are_no_budget_on_a_cpu_either(tiny_model: Path) -> None:
    sections = {
        "engine": {"name": "llamacpp"},
        "model": {"id": str(tiny_model)},
        "hardware": {},
        "space": {"parameters": {"parallel": [1, 2]}},
        "workload": {"scenario": "D(64,16)", "load": {"concurrency": [2]}},
    }
    assert refused(**sections, budget={"wall_clock_h": 0.001}).key == "budget.wall_clock_h"
    asked(**sections, budget={"wall_clock_h": 0.01})
    assert "never runs out without a GPU" in refused(**sections, budget={"gpu_hours": 1}).message


def test_fewer_gpus_of_the_others_count(tmp_path: Path) -> None:
    space = {"parallelism": {"tp": [1, 4]}}
    one_gpu = asked(space=space).cost.least
    assert one_gpu.gpu_s == 4 * (10 + 109)
    mostly_four = asked(space=space, search={"baseline": {"tp": 4}}).cost.least
    assert mostly_four.gpu_s == 4 * (4 * 10 + 109)


def test_poisson_arrivals_may_be_faster_than_their_rate() -> None:
    poisson = asked(workload={**RATES, "load": {"rate": [1, 2], "arrival": "poisson"}}).cost.least
    constant = asked().cost.least
    assert 0.5 * constant.wall_s < poisson.wall_s < constant.wall_s


def test_a_trace_takes_its_own_time(tmp_path: Path) -> None:
    lines = [{"timestamp_s": 30 * n, "input_tokens": 10, "output_tokens": 10} for n in range(11)]
    path = tmp_path / "t.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    workload = {"scenario": {"trace": str(path)}, "load": {"speed": [2]}, "requests": {"per_level_s": 100}}
    # In 100 s at twice the speed 7 requests are sent, over 180 s of the trace.
    assert asked(workload=workload, search={"confirm": 0}).cost.least.wall_s == 10 + 90


# ── trials ────────────────────────────────────────────────────────────────────────────────────


def test_one_trial_is_the_default_alone_and_needs_no_confirmation() -> None:
    error = refused(search={"trials": 1})
    assert (error.key, error.nearest) == ("search.trials", "2")
    assert "search.confirm: 0" in error.message
    assert asked(search={"trials": 1, "confirm": 0}).cost.least.wall_s == 109
    asked(search={"trials": 2})


def test_one_trial_is_all_of_a_space_of_one_config_and_of_a_server_that_runs() -> None:
    asked(search={"trials": 1}, space={"parallelism": {"tp": 1}})
    endpoint = {"kind": "endpoint", "url": "http://127.0.0.1:1"}
    report = asked(launcher=endpoint, space={}, search={"trials": 1}, hardware={})
    assert report.cost.least.wall_s == 99  # nothing is started


def test_a_study_that_goes_on_is_not_asked_again() -> None:
    given = study(hardware=H100, workload=RATES, space={"parallelism": {"tp": [1, 2]}}, budget={"gpu_hours": 0.001})
    assert check(given, begins=False).cost.least.gpu_s > 3.6


# ── the plan ──────────────────────────────────────────────────────────────────────────────────

LIMITS = {"start_s": 600, "rung_s": 300}


def rows(**sections: Any) -> dict[str, str]:
    return dict(asked(timeouts=LIMITS, search={"trials": 4, "confirm": 2, "finalists": 1}, **sections).plan())


def test_the_plan_says_types_prices_budget_and_the_most() -> None:
    told = rows()
    assert told["GPU types"] == "H100-80GB at 2 an hour"
    assert told["budget"] == "no limit"
    # 4 trials and 4 confirmations of 600 + 3 × 300 s, on up to 2 GPUs.
    assert told["at most"].startswith("3.33 h, one trial after another; 6.67 GPU-hours; 13.33 at these prices")
    assert told["nodes"] == "1 for the default"


def test_a_budget_cuts_the_most() -> None:
    told = rows(budget={"gpu_hours": 3, "wall_clock_h": 2})
    assert told["budget"] == "3 GPU-hours and 2 h of wall clock"
    # Four trials at once may each be at a start of 600 s and a rung of 300 s on 2 GPUs when 3 GPU-hours are spent.
    beyond = "with the starts and rungs that run when the budget's are spent"
    assert told["at most"].startswith(f"2 h; 5 GPU-hours, {beyond}; 10.00 at these prices")


@pytest.mark.parametrize(
    ("gpu_hours", "at_a_time", "trial_s", "gpu_s"),
    [
        (1.0, 1, None, 3600 + 900 * 2),
        (1.0, 2, None, 3600 + 2 * 900 * 2),
        (0.5, 2, 700, 1800 + 2 * 700 * 2),
        (9.0, 2, None, 4 * 1500 * 2),
    ],
)
def test_what_runs_when_gpu_hours_are_spent_is_in_the_most(
    gpu_hours: float, at_a_time: int, trial_s: float | None, gpu_s: float
) -> None:
    search = {"trials": 4, "confirm": 0, "max_concurrent_trials": at_a_time}
    report = asked(timeouts={**LIMITS, "trial_s": trial_s}, search=search, budget={"gpu_hours": gpu_hours})
    assert report.cost.most.gpu_s == gpu_s
    assert report.cost.as_dict()["most"]["gpu_hours"] == gpu_s / 3600


def test_fewer_configs_than_trials_and_a_limit_of_a_trial_cut_it_too() -> None:
    few = asked(timeouts=LIMITS, search={"confirm": 0}, space={"parallelism": {"tp": [1]}})
    assert few.cost.most.wall_s == 2 * 1500
    short = asked(timeouts={**LIMITS, "trial_s": 700}, search={"trials": 4, "confirm": 1, "finalists": 1})
    assert short.cost.most.wall_s == 6 * 700


def test_trials_at_a_time_and_nodes_are_counted() -> None:
    several = asked(timeouts=LIMITS, search={"trials": 4, "confirm": 0, "max_concurrent_trials": 2})
    assert (several.cost.most.wall_s, several.cost.most.gpu_s) == (2 * 1500, 4 * 1500 * 2)
    large = asked(space={"parallelism": {"tp": 8, "pp": 2}}, search={"trials": 1})
    assert dict(large.plan())["nodes"].startswith("2 for the default")


def test_without_prices_there_is_no_money_and_without_gpus_no_type(tiny_model: Path) -> None:
    sections: dict[str, Any] = {
        "engine": {"name": "llamacpp"},
        "model": {"id": str(tiny_model)},
        "hardware": {},
        "space": {"parameters": {"parallel": [1, 2]}},
    }
    report = asked(**sections)
    assert "GPU types" not in dict(report.plan())
    assert report.cost.most_money is None
    priced = asked(**{**sections, "hardware": {"cost_per_cpu_hour": 0.5}})
    assert priced.cost.most_money == pytest.approx(0.5 * priced.cost.cpus[2] * priced.cost.most.wall_s / 3600)


def test_the_dearest_of_several_types_counts() -> None:
    hardware = {"accelerators": ["H100-80GB", "L40S-48GB"], "cost_per_gpu_hour": {"H100-80GB": 2.5, "L40S-48GB": 0.8}}
    report = asked(hardware=hardware)
    assert dict(report.plan())["GPU types"] == "H100-80GB at 2.5 an hour, L40S-48GB at 0.8 an hour"
    assert report.cost.most_money == pytest.approx(2.5 * report.cost.most.gpu_s / 3600)


def test_all_of_it_is_in_the_json() -> None:
    told = asked(timeouts=LIMITS, search={"trials": 4, "confirm": 2, "finalists": 1}).as_dict()
    cost = told["cost"]
    assert told["nodes"] == 1
    assert cost["budget"] == {"gpu_hours": None, "wall_clock_h": None}
    assert cost["price_per_gpu_hour"] == {"H100-80GB": 2.0}
    assert cost["most"] == pytest.approx(
        {"wall_clock_h": 12000 / 3600, "gpu_hours": 24000 / 3600, "money": 48000 / 3600}
    )
    assert cost["least"] == pytest.approx({"wall_clock_h": LEAST_WALL_S / 3600, "gpu_hours": LEAST_GPU_S / 3600})
