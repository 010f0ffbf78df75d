"""The Configs that are measured first: the default, on each GPU type."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from autotuner.engines import one_engine
from autotuner.engines.settings import ACCELERATOR, ENGINE
from autotuner.space import Choice, SearchSpace
from autotuner.space.config import Config
from autotuner.space.parallelism import Parallelism
from autotuner.space.quantization import AUTO, QUANTIZATION_NAMES
from autotuner.study.model import Study
from autotuner.tuning.decisions.default_space import NORMALISED, baseline_values

Fits = Callable[[Config], bool]


def baseline_config(study: Study, space: SearchSpace, fits: Fits | None = None) -> Config:
    """The study's own baseline, else the engine's defaults: of the first engine and GPU type, in the formats that it
    chooses itself, on the fewest GPUs that the constraints allow, of those that fit on a node where any does.

    Normalised names that the study's own baseline leaves out are chosen in the same way. ``space`` is that of the
    default (``default_space``): the study's own would not judge flags that it searches and the default leaves out.
    """
    return _cheapest(study, space, baseline_values(study), fits)


def baseline_configs(study: Study, space: SearchSpace, fits: Fits | None = None) -> tuple[Config, ...]:
    """``baseline_config``, then the same on each further GPU type that the study searches over.

    Types on which it fits nowhere are left out, but never the first one.
    """
    first = baseline_config(study, space, fits)
    own = baseline_values(study)
    if ACCELERATOR not in first.values or ACCELERATOR in own:
        return (first,)
    types = [value for value in _options(space[ACCELERATOR]) if value != first.values[ACCELERATOR]]
    others = [_cheapest(study, space, {**own, ACCELERATOR: name}, fits) for name in types]
    possible = [config for config in others if space.violated(config) is None]
    return (first, *(config for config in possible if fits is None or fits(config)))


def _cheapest(study: Study, space: SearchSpace, own: dict[str, Any], fits: Fits | None) -> Config:
    choices = [parameter for parameter in space.parameters if parameter.name in NORMALISED]
    names = [parameter.name for parameter in choices if parameter.name not in own]
    options = [_options(parameter) for parameter in choices if parameter.name in names]
    candidates = [Config({**dict(zip(names, values, strict=True)), **own}) for values in itertools.product(*options)]
    allowed = [config for config in candidates if space.violated(config) is None] or candidates
    ordered = sorted(allowed, key=lambda config: _effort(study, config, names, options))
    return next((config for config in ordered if fits is None or fits(config)), ordered[0])


def _options(parameter: Any) -> list[Any]:
    """The values of a normalised parameter, what the engine chooses itself (``auto``) first."""
    values = parameter.options if isinstance(parameter, Choice) else parameter.values()
    return sorted(values, key=lambda value: value != AUTO)


def _effort(study: Study, config: Config, names: list[str], options: list[list[Any]]) -> tuple[int, ...]:
    """Orders Configs: first engine, fewest changes of format, first GPU type, fewest GPUs, least parallelism."""
    ranks = {name: known.index(config.values[name]) for name, known in zip(names, options, strict=True)}
    engine, _, own = one_engine(study, config)
    parallelism = Parallelism.of(own.values)
    return (
        ranks.get(ENGINE, 0),
        sum(ranks.get(name, 0) for name in QUANTIZATION_NAMES),
        ranks.get(ACCELERATOR, 0),
        engine.gpus(parallelism),
        *parallelism.as_dict().values(),
    )
