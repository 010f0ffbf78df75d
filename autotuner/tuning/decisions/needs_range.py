"""The least and the most that a trial of a space reserves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping

from autotuner.engines.checks.left_out import left_out_values
from autotuner.engines.settings import ENGINE
from autotuner.space import Choice, SearchSpace
from autotuner.space.config import Config
from autotuner.space.parallelism import PARALLELISM_NAMES
from autotuner.study.model import Study
from autotuner.tuning.decisions.capacity import bundle

_MOST_COMBINATIONS = 2_000  # a check stays quick


def needs_range(study: Study, space: SearchSpace, baseline: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Resource → least and most over engines and degrees of parallelism, what ``baseline`` needs included.

    Values that no Config has, and combinations that the constraints rule out by themselves, do not count.
    """
    found = {name: (amount, amount) for name, amount in baseline.items()}
    for config in _combinations(space):
        needs = bundle(study, config)
        if needs.keys() != baseline.keys():
            continue  # refused by its engine: it reserves the load driver's part alone
        for name, amount in needs.items():
            least, most = found[name]
            found[name] = (min(least, amount), max(most, amount))
    return found


def _combinations(space: SearchSpace) -> Iterator[Config]:
    chosen = [p for p in space.parameters if p.name in (ENGINE, *PARALLELISM_NAMES) and isinstance(p, Choice)]
    gone = {(one.parameter, repr(one.value)) for one in left_out_values(space) if not one.where}
    options = [[value for value in p.options if (p.name, repr(value)) not in gone] for p in chosen]
    if math.prod(map(len, options)) > _MOST_COMBINATIONS:
        return
    for values in itertools.product(*options):
        config = Config({parameter.name: value for parameter, value in zip(chosen, values, strict=True)})
        if space.violated(config) is None:
            yield config
