"""Encoding: Configs as points between which distances mean something."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from autotuner.space import Choice, FloatRange, IntRange, Parameter, SearchSpace
from autotuner.space.config import Config

Matrix = NDArray[np.float64]
Vector = NDArray[np.float64]

_MIDDLE = 0.5  # where an ordered value is put that is not there


@dataclass(frozen=True)
class Encoding:
    """A parameter becomes columns of its own; any two of its values are at most 1 apart, or √1.25 from its absence.

    Numbers are ordered: a range by the scale that it is drawn on, a list by rank, since whoever wrote
    ``[16, 64, 512]`` meant steps that are alike. All else are categories, each as far from any other. A parameter whose
    condition does not hold, that a baseline leaves out or that is null is absent: in all three cases the server is not
    told of it.

    ``owners``: for each column the place of its parameter.
    """

    space: SearchSpace

    @property
    def owners(self) -> NDArray[np.intp]:
        widths = [_width(parameter) for parameter in self.space.parameters]
        return np.repeat(np.arange(len(widths)), widths)

    def matrix(self, configs: Sequence[Config]) -> Matrix:
        """A row for each Config."""
        blocks = [_block(p, [c.values.get(p.name) for c in configs]) for p in self.space.parameters]
        return np.hstack(blocks) if blocks else np.zeros((len(configs), 0))


def numbers(parameter: Parameter) -> tuple[float, ...]:
    """The values of a list of numbers, in their order; empty where it is a range or has other values."""
    if not isinstance(parameter, Choice):
        return ()
    said = [option for option in parameter.options if option is not None]
    if not all(isinstance(option, int | float) and not isinstance(option, bool) for option in said):
        return ()
    return tuple(sorted({float(option) for option in said}))


def fraction(parameter: IntRange | FloatRange, value: float) -> float:
    """Where in [0, 1] of a range the value lies, on its own scale; a baseline's may lie outside."""
    low, high = float(parameter.low), float(parameter.high)
    if low == high:
        return _MIDDLE
    if parameter.log and value > 0 and low > 0:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _width(parameter: Parameter) -> int:
    return 2 if _is_ordered(parameter) else len(_categories(parameter)) + 1


def _is_ordered(parameter: Parameter) -> bool:
    return not isinstance(parameter, Choice) or bool(numbers(parameter))


def _categories(parameter: Parameter) -> list[str]:
    options: Iterator[Any] = iter(parameter.values()) if isinstance(parameter, Choice) else iter(())
    return [json.dumps(option, sort_keys=True) for option in options if option is not None]


def _block(parameter: Parameter, values: Sequence[Any]) -> Matrix:
    return _ordered(parameter, values) if _is_ordered(parameter) else _categorical(parameter, values)


def _ordered(parameter: Parameter, values: Sequence[Any]) -> Matrix:
    """Position, and whether it is there."""
    listed = numbers(parameter)
    found = np.empty((len(values), 2))
    for place, value in enumerate(values):
        if not isinstance(value, int | float):
            found[place] = _MIDDLE, 0.0
        elif isinstance(parameter, Choice):
            found[place] = np.interp(value, listed, np.linspace(0, 1, len(listed))) if len(listed) > 1 else _MIDDLE, 1.0
        else:
            found[place] = fraction(parameter, value), 1.0
    return found


def _categorical(parameter: Parameter, values: Sequence[Any]) -> Matrix:
    """One column a category and a last one for absence, and for what a baseline alone has."""
    places = {name: place for place, name in enumerate(_categories(parameter))}
    found = np.zeros((len(values), len(places) + 1))
    columns = [len(places) if v is None else places.get(json.dumps(v, sort_keys=True), len(places)) for v in values]
    found[np.arange(len(values)), columns] = math.sqrt(0.5)
    return found
