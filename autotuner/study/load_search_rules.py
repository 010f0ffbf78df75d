"""What a load search asks of the rest of a study, and what only a load search can give."""

from __future__ import annotations

from collections.abc import Iterator

from autotuner.strict.problem import Problem
from autotuner.study.model import LATENCIES, FindMaxLoad, Study

FOUND = ("max_load", "max_load_per_gpu")  # objectives that a load search alone can give
_OF_ALL_LEVELS = (*(f"{metric}_" for metric in (*LATENCIES, "ttft_visible")), "tokens_per_s_per_user")


def load_search_problems(study: Study) -> Iterator[Problem]:
    """Bounds, SLOs, rungs and objectives that do not go together with ``workload.load.find_max``."""
    load = study.workload.load
    if not isinstance(load, FindMaxLoad):
        for name in study.objectives:
            if name in FOUND:
                rule = "needs a load search: workload.load: {find_max: concurrency}, or {find_max: rate}"
                yield Problem("objective", name, rule)
        return
    yield from _bounds(load)
    if not study.slo.terms():
        rule = "a load search needs a limit on a latency: without one every load that is answered is met"
        yield Problem("slo", None, rule, shows_value=False)
    if study.fidelity.rungs != 1:
        yield Problem("fidelity.rungs", study.fidelity.rungs, "a load search is one rung: leave it out, or 1", "1")
    for name in study.objectives:
        if name.startswith(_OF_ALL_LEVELS):
            rule = "is a mean over load levels, of which a load search has others for each Config: give max_load"
            yield Problem("objective", name, rule, "max_load")


def _bounds(load: FindMaxLoad) -> Iterator[Problem]:
    for key, bound in (("from", load.first), ("up_to", load.up_to)):
        if load.find_max == "concurrency" and bound != int(bound):
            yield Problem(f"workload.load.{key}", bound, "a whole number of requests in flight")
    if load.first >= load.up_to:
        rule = f"more than workload.load.from, which is {load.first:g}"
        yield Problem("workload.load.up_to", load.up_to, rule)
    if load.find_max == "concurrency" and "arrival" in load.model_fields_set and load.arrival != "poisson":
        yield Problem(
            "workload.load.arrival", load.arrival, "is for a rate: with concurrency a slot sends when it is free"
        )
