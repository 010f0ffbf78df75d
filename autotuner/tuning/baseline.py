"""The Config of trial 0."""

from __future__ import annotations

import itertools
from typing import Any

from autotuner.engines import one_engine
from autotuner.engines.settings import ENGINE
from autotuner.space import Choice, SearchSpace
from autotuner.space.config import Config
from autotuner.space.parallelism import PARALLELISM_NAMES, Parallelism
from autotuner.space.quantization import AUTO, QUANTIZATION_NAMES
from autotuner.study.model import Study

_NORMALISED = (ENGINE, *PARALLELISM_NAMES, *QUANTIZATION_NAMES)


def baseline_config(study: Study, space: SearchSpace) -> Config:
    """The study's own baseline, else the engine's defaults: of the first engine, in the formats that it chooses
    itself, on the fewest GPUs that the constraints allow.

    Normalised names that the study's own baseline leaves out are chosen in the same way.
    """
    own = {} if study.search.baseline == "default" else dict(study.search.baseline)
    choices = [parameter for parameter in space.parameters if parameter.name in _NORMALISED]
    names = [parameter.name for parameter in choices if parameter.name not in own]
    options = [_options(parameter) for parameter in choices if parameter.name in names]
    candidates = [Config({**dict(zip(names, values, strict=True)), **own}) for values in itertools.product(*options)]
    allowed = [config for config in candidates if space.violated(config) is None] or candidates
    return min(allowed, key=lambda config: _effort(study, config, names, options))


def _options(parameter: Any) -> list[Any]:
    """The values of a normalised parameter, what the engine chooses itself first."""
    values = list(parameter.options) if isinstance(parameter, Choice) else list(parameter.values())
    return sorted(values, key=lambda value: value != AUTO) if parameter.name in QUANTIZATION_NAMES else values


def _effort(study: Study, config: Config, names: list[str], options: list[list[Any]]) -> tuple[int, ...]:
    """Orders Configs: first engine, fewest changes of format, fewest GPUs, least parallelism."""
    ranks = {name: known.index(config.values[name]) for name, known in zip(names, options, strict=True)}
    engine, _, own = one_engine(study, config)
    parallelism = Parallelism.of(own.values)
    return (
        ranks.get(ENGINE, 0),
        sum(ranks.get(name, 0) for name in QUANTIZATION_NAMES),
        engine.gpus(parallelism),
        *parallelism.as_dict().values(),
    )
