"""How large a workload's requests are, as far as that is told without opening its files."""

from __future__ import annotations

import math

from autotuner.benchmark.scenario import Fixed, Normal, Uniform, parse_scenario
from autotuner.study.model import Workload


def longest_request_tokens(workload: Workload) -> int | None:
    """Input and output tokens of the longest request that is as good as sure to be sent.

    Of a normal distribution that is one at the means; ``None`` for datasets and traces.
    """
    texts = [workload.scenario, *(part.scenario for part in workload.scenarios)]
    sizes = [_tokens(parse_scenario(text, "workload.scenario")) for text in texts if isinstance(text, str)]
    return max(sizes, default=None)


def _tokens(source: Fixed | Normal | Uniform) -> int:
    match source:
        case Fixed():
            return source.input_tokens + source.output_tokens
        case Uniform():
            return source.input_max + source.output_max
        case Normal():
            return math.floor(source.input_mean + source.output_mean)
