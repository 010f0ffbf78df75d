"""What all ways share that are not the product's: values by their place, Configs of them, a trace of what was tried."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from autotuner.space import Choice, SearchSpace
from autotuner.space.config import Config
from autotuner.space.parameters import Parameter
from benchmarks.search_cost.surface import Surface
from benchmarks.search_cost.trace import Trace, incumbents
from benchmarks.search_cost.trial import Tried


def made_trace(surface: Surface, tried: Sequence[Tried]) -> Trace:
    """It ends with the last trial, and recommends what was measured as the best."""
    steps = incumbents((one.gpu_s, one.config, one.merit) for one in tried)
    last = steps[-1].incumbent if steps else None
    return Trace(steps, steps[-1].spent_s if steps else 0.0, last or surface.default)


def suggested(space: SearchSpace, value_of: Callable[[Parameter], Any]) -> Config:
    """A value for every parameter whose condition holds."""
    values: dict[str, Any] = {}
    for parameter in space.parameters:
        if parameter.is_active(values):
            values[parameter.name] = value_of(parameter)
    return Config(values)


def listed_values(parameter: Parameter) -> list[Any]:
    return list(parameter.options) if isinstance(parameter, Choice) else list(parameter.values())
