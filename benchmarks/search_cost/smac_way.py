"""SMAC3 (random forest, expected improvement), where it is installed: it is no dependency of ours."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from autotuner.scoring.merit import Merit
from autotuner.space import Choice
from autotuner.space.parameters import Parameter
from benchmarks.search_cost.surface import Surface
from benchmarks.search_cost.trace import Trace
from benchmarks.search_cost.trial import Tried, try_config
from benchmarks.search_cost.tried import listed_values, made_trace, suggested


def smac(surface: Surface, trials: int, seed: int) -> Trace:
    """Ask and tell over the index of each parameter's value. What the space forbids is told as the worst there is, and
    costs nothing."""
    from ConfigSpace import ConfigurationSpace
    from smac import HyperparameterOptimizationFacade as Facade
    from smac import Scenario
    from smac.runhistory.dataclasses import TrialValue

    asks = 10 * trials
    listed = {p.name: listed_values(p) for p in surface.space.parameters}
    space = ConfigurationSpace(seed=seed)
    space.add([_parameter(p, len(listed[p.name])) for p in surface.space.parameters])
    tried: list[Tried] = []
    logging.getLogger("smac").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="smac-") as place:
        # The first design is a share of the trials: of the asks it would be all of them.
        scenario = Scenario(space, deterministic=True, n_trials=asks, seed=seed, output_directory=Path(place))
        facade = Facade(
            scenario,
            _never_called,
            initial_design=Facade.get_initial_design(scenario, n_configs=max(2, trials // 4)),
            overwrite=True,
            logging_level=False,
        )
        for _ in range(asks):
            if len(tried) == trials:
                break
            asked = facade.ask()
            chosen = dict(asked.config)
            config = suggested(surface.space, lambda p, c=chosen: listed[p.name][int(c[p.name])])  # type: ignore[misc]
            merit = Merit()
            if surface.space.contains(config):
                tried.append(try_config(surface, config, seed, len(tried)))
                merit = tried[-1].merit or Merit()
            facade.tell(asked, TrialValue(cost=-merit.told))
    return made_trace(surface, tried)


def _parameter(parameter: Parameter, values: int) -> Any:
    from ConfigSpace import CategoricalHyperparameter, OrdinalHyperparameter

    kind = CategoricalHyperparameter if isinstance(parameter, Choice) else OrdinalHyperparameter
    return kind(parameter.name, list(range(values)))


def _never_called(config: Any, seed: int = 0) -> float:
    raise NotImplementedError("ask and tell alone")
