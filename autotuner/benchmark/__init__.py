"""Scenarios, arrivals, load plans and the load driver.

Names are loaded when first used: the driver's worker processes import modules of this package and
must start in a fraction of a second.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from autotuner.benchmark.driver import DriverSettings, LoadDriver, Target
    from autotuner.benchmark.endpoint_bench import BenchOptions, bench
    from autotuner.benchmark.probe import discover_target
    from autotuner.benchmark.real_driver import RealLoadDriver, open_driver
    from autotuner.benchmark.traffic.level_cut import cuts_by_levels, plan_levels, rungs_of
    from autotuner.benchmark.traffic.list_plan import ListPlan, full_requests, levels, make_plan
    from autotuner.benchmark.traffic.plan import LoadPlan, LoadPoint, PointOutcome
    from autotuner.benchmark.traffic.request_size import longest_request_tokens
    from autotuner.benchmark.traffic.workload import check_workload

_HOMES = {
    "BenchOptions": "endpoint_bench",
    "DriverSettings": "driver",
    "ListPlan": "traffic.list_plan",
    "LoadDriver": "driver",
    "LoadPlan": "traffic.plan",
    "LoadPoint": "traffic.plan",
    "PointOutcome": "traffic.plan",
    "RealLoadDriver": "real_driver",
    "Target": "driver",
    "bench": "endpoint_bench",
    "check_workload": "traffic.workload",
    "cuts_by_levels": "traffic.level_cut",
    "discover_target": "probe",
    "full_requests": "traffic.list_plan",
    "levels": "traffic.list_plan",
    "longest_request_tokens": "traffic.request_size",
    "make_plan": "traffic.list_plan",
    "open_driver": "real_driver",
    "plan_levels": "traffic.level_cut",
    "rungs_of": "traffic.level_cut",
}

__all__ = [
    "BenchOptions",
    "DriverSettings",
    "ListPlan",
    "LoadDriver",
    "LoadPlan",
    "LoadPoint",
    "PointOutcome",
    "RealLoadDriver",
    "Target",
    "bench",
    "check_workload",
    "cuts_by_levels",
    "discover_target",
    "full_requests",
    "levels",
    "longest_request_tokens",
    "make_plan",
    "open_driver",
    "plan_levels",
    "rungs_of",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
