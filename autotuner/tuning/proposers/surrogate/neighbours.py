"""The Configs about a Config: those that differ in one parameter."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from autotuner.space import Choice, Parameter, SearchSpace
from autotuner.space.config import Config
from autotuner.tuning.proposers.surrogate.encoding import fraction, numbers

_REACHES = (0.3, 0.1, 0.03, 0.01)  # of a range, as standard deviations: from across it to next door
_BELOW_ONE = 1 - 1e-9


def neighbours(space: SearchSpace, config: Config, rng: random.Random) -> Iterator[Config]:
    """Of a category every other value, of a list of numbers the next ones, of a range some, near and far; all valid.

    What then exists for the first time is drawn. ``config`` may be a baseline, which lacks parameters of the space:
    these are drawn as well.
    """
    for parameter in space.parameters:
        for value in _other_values(parameter, config.values.get(parameter.name), rng):
            found = _changed(space, config, parameter, value, rng)
            if space.violated(found) is None:
                yield found


def _other_values(parameter: Parameter, value: Any, rng: random.Random) -> Iterator[Any]:
    if isinstance(parameter, Choice):
        ordered = numbers(parameter)
        others = [option for option in parameter.options if option != value]
        if ordered and value in ordered and None not in parameter.options:
            rank = ordered.index(float(value))
            others = [option for option in others if abs(ordered.index(float(option)) - rank) == 1]
        yield from others
    elif isinstance(value, int | float):
        at = fraction(parameter, value)
        for reach in _REACHES:
            moved = parameter.draw(min(max(rng.gauss(at, reach), 0.0), _BELOW_ONE))
            if moved != value:
                yield moved


def _changed(space: SearchSpace, config: Config, changed: Parameter, value: Any, rng: random.Random) -> Config:
    values: dict[str, Any] = {}
    for parameter in space.parameters:
        if not parameter.is_active(values):
            continue
        if parameter is changed:
            values[parameter.name] = value
        elif parameter.name in config.values and parameter.contains(config.values[parameter.name]):
            values[parameter.name] = config.values[parameter.name]
        else:
            values[parameter.name] = parameter.draw(rng.random())
    return Config(values)
