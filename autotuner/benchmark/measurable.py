"""What a workload can never tell, however long it is measured."""

from __future__ import annotations

from collections.abc import Iterator

from autotuner.benchmark.traffic.list_plan import full_requests, levels
from autotuner.benchmark.traffic.mix import Mix
from autotuner.engines.problem import Problem
from autotuner.study.model import Study

_BETWEEN_TOKENS = ("tpot", "itl")
_RULE = "every answer of this workload has one token, and so no time between tokens"


def workload_problems(study: Study, mix: Mix) -> list[Problem]:
    """SLOs and objectives that can have no value; and, told only, a dataset that is too small for its load."""
    return [*_one_token_problems(study, mix), *_repeat_problems(study, mix)]


def _one_token_problems(study: Study, mix: Mix) -> Iterator[Problem]:
    if mix.most_output_tokens > 1:
        return
    for metric, statistic, term in study.slo.terms():
        if metric in _BETWEEN_TOKENS:
            yield Problem(f"slo.{metric}.{statistic}", term.threshold_ms, _RULE)
    for metric in _BETWEEN_TOKENS:
        limit_ms = getattr(study.slo, metric).per_request_ms
        if limit_ms is not None:
            yield Problem(f"slo.{metric}.per_request_ms", limit_ms, _RULE)
    for name in study.objectives:
        if name.startswith(_BETWEEN_TOKENS) or name == "tokens_per_s_per_user":
            yield Problem("objective", name, _RULE)


def _repeat_problems(study: Study, mix: Mix) -> Iterator[Problem]:
    """Repeated prompts differ at their end alone: a prefix cache finds them, as it would in no real load."""
    if mix.prompts is None or study.workload.cache == "warm":
        return
    most = max(full_requests(study.workload, level) for level in levels(study.workload))
    if mix.prompts < most:
        rule = f"prompts for load points of up to {most} requests: a prefix cache finds the repeated ones"
        yield Problem("workload.scenario", mix.prompts, rule, fatal=False)
