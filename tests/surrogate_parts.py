"""Small parts that the tests of the searcher `auto` share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from autotuner.engines import build_space
from autotuner.space import SearchSpace
from autotuner.study.model import Study
from autotuner.tuning.proposers import Outcome, OutcomeKind
from autotuner.tuning.proposers.surrogate import SurrogateProposer

FAILED = Outcome(OutcomeKind.INFEASIBLE, (-83.0,), {}, 42.0, meets_slos=False)


def study(
    parameters: Mapping[str, Any],
    *,
    seed: int = 0,
    objective: str | Sequence[str] = "throughput",
    stop: Any = None,
    **space: Any,
) -> Study:
    return Study.model_validate(
        {
            "model": {"id": "m.gguf"},
            "engine": {"name": "llamacpp"},
            "space": {"parameters": parameters, **space},
            "workload": {"scenario": "D(8,4)"},
            "objective": objective,
            "search": {"algorithm": "auto", "seed": seed, "stop": stop},
        }
    )


def built(parameters: Mapping[str, Any], **space: Any) -> SearchSpace:
    return build_space(study(parameters, **space))


def searcher(parameters: Mapping[str, Any], **given: Any) -> SurrogateProposer:
    asked = study(parameters, **given)
    return SurrogateProposer(build_space(asked), asked)


def worth(
    value: float, *, meets_slos: bool = True, gpu_s: float = 0.0, by_rung: Mapping[int, float] | None = None
) -> Outcome:
    return Outcome(OutcomeKind.COMPLETED, (value,), by_rung or {}, 0.0, meets_slos, gpu_s)
