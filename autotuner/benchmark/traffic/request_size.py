"""How large a workload's requests are."""

from __future__ import annotations

import math
from collections.abc import Sequence

from autotuner.benchmark.traffic.datasets import read_dataset, read_trace
from autotuner.benchmark.traffic.list_plan import full_requests, levels
from autotuner.benchmark.traffic.scenario import Fixed, Normal, Shape, Uniform, parse_scenario
from autotuner.study.model import Dataset, Trace, Workload


def longest_request_tokens(workload: Workload, error_rate: float = 0.0) -> int | None:
    """Input and output tokens that a server must have room for, so that no more than ``error_rate`` of the requests
    are too long for it; ``None`` where that is not known.

    Of a scenario its longest request, of a normal distribution one at the means. Of a dataset's prompts, whose tokens
    are the model's own, one token each. In a mix chance says which lines of a file are sent: they do not count.
    """
    if isinstance(workload.scenario, Trace):
        return _all_but_few(read_trace(workload.scenario.trace).shapes, workload, error_rate)
    if isinstance(workload.scenario, Dataset):
        return _all_but_few(read_dataset(workload.scenario.dataset, seed=0).shapes, workload, error_rate)
    texts = [workload.scenario, *(part.scenario for part in workload.scenarios)]
    sizes = [_tokens(parse_scenario(text, "workload.scenario")) for text in texts if isinstance(text, str)]
    return max(sizes, default=None)


def _all_but_few(shapes: Sequence[Shape], workload: Workload, error_rate: float) -> int:
    """The largest size that more than ``error_rate`` of the requests of some level have for sure."""
    found = 0
    for level in levels(workload):
        count = min(full_requests(workload, level), len(shapes))
        # A trace is sent from its first line on; of a dataset that is not sent as a whole any lines may be left out.
        lines = shapes[:count] if isinstance(workload.scenario, Trace) else shapes
        sizes = sorted((max(1, shape.input_tokens) + shape.output_tokens for shape in lines), reverse=True)
        few = math.floor(error_rate * count) + len(lines) - count
        found = max(found, sizes[min(few, len(sizes) - 1)])
    return found


def _tokens(source: Fixed | Normal | Uniform) -> int:
    match source:
        case Fixed():
            return source.input_tokens + source.output_tokens
        case Uniform():
            return source.input_max + source.output_max
        case Normal():
            return math.floor(source.input_mean + source.output_mean)
