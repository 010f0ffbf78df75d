"""The parameters of a space: ranges of numbers, choices; and the rules that name them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import Any

from autotuner.space._nodes import Value
from autotuner.space.expression import Expression, identifier


@dataclass(frozen=True, kw_only=True)
class _Named:
    """``condition`` is the rule under which the parameter exists, ``None`` when it always does."""

    name: str
    condition: Rule | None = None

    @property
    def identifier(self) -> str:
        """Its name in expressions."""
        return identifier(self.name)

    def is_active(self, values: Mapping[str, Any]) -> bool:
        """Whether it exists, given the values of the parameters before it."""
        return self.condition is None or self.condition.holds(values) is True

    def in_expressions(self, value: Any) -> Value:
        """What expressions see of a value, which need not be one of the parameter's own."""
        return value if isinstance(value, bool | int | float | str) else None


@dataclass(frozen=True, kw_only=True)
class IntRange(_Named):
    """Whole numbers from ``low`` to ``high``, both included, every ``step``; ``log`` only tells how to draw them."""

    low: int
    high: int
    log: bool = False
    step: int = 1

    @property
    def size(self) -> int:
        return (self.high - self.low) // self.step + 1

    def value_at(self, index: int) -> int:
        return self.low + index * self.step

    def values(self) -> Iterator[int]:
        return iter(range(self.low, self.high + 1, self.step))

    def draw(self, fraction: float) -> int:
        """The value at ``fraction`` in [0, 1) of the range, on a log scale if ``log``."""
        if not self.log:
            return self.value_at(min(int(fraction * self.size), self.size - 1))
        # Half a step of room at both ends, so that these are drawn as often as their neighbours.
        low, high = math.log(self.low - 0.5), math.log(self.high + 0.5)
        return min(max(round(math.exp(low + fraction * (high - low))), self.low), self.high)

    def nearest(self, value: float) -> int:
        return self.value_at(min(max(round((value - self.low) / self.step), 0), self.size - 1))

    def contains(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int):
            return False
        return self.low <= value <= self.high and (value - self.low) % self.step == 0


@dataclass(frozen=True, kw_only=True)
class FloatRange(_Named):
    """Numbers from ``low`` to ``high``, both included: every ``step``, or all of them where that is ``None``."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @cached_property
    def size(self) -> int | None:
        """``None`` where there is no end of values."""
        if self.step is None:
            return 1 if self.low == self.high else None
        return int((_decimal(self.high) - _decimal(self.low)) // _decimal(self.step)) + 1

    def value_at(self, index: int) -> float:
        if self.step is None:
            return self.low
        return float(_decimal(self.low) + index * _decimal(self.step))

    def values(self) -> Iterator[float]:
        """Every value. Call only where ``size`` is known."""
        return (self.value_at(index) for index in range(self.size or 0))

    def draw(self, fraction: float) -> float:
        """The value at ``fraction`` in [0, 1) of the range, on a log scale if ``log``."""
        if self.size is not None:
            return self.value_at(min(int(fraction * self.size), self.size - 1))
        if self.log:
            low, high = math.log(self.low), math.log(self.high)
            return min(max(math.exp(low + fraction * (high - low)), self.low), self.high)
        return min(self.low + fraction * (self.high - self.low), self.high)

    def nearest(self, value: float) -> float:
        if self.size is None or self.step is None:
            return min(max(value, self.low), self.high)
        return self.value_at(min(max(round((value - self.low) / self.step), 0), self.size - 1))

    def contains(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and (self.step is None or self.nearest(value) == value)


@dataclass(frozen=True, kw_only=True)
class Choice(_Named):
    """One of some values, each with a label; values that are no labelled map or list are their own label.

    In expressions a choice is its value, or its label where any of its values is a map or a list.
    """

    options: tuple[Any, ...]
    labels: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.options)

    @cached_property
    def is_opaque(self) -> bool:
        """Whether expressions see the labels."""
        return any(isinstance(option, dict | list) for option in self.options)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {_canonical(option): index for index, option in enumerate(self.options)}

    def value_at(self, index: int) -> Any:
        return self.options[index]

    def value_of(self, label: str) -> Any:
        return self.options[self.labels.index(label)]

    def label_of(self, value: Any) -> str:
        return self.labels[self._index[_canonical(value)]]

    def values(self) -> Iterator[Any]:
        return iter(self.options)

    def draw(self, fraction: float) -> Any:
        return self.options[min(int(fraction * self.size), self.size - 1)]

    def contains(self, value: object) -> bool:
        try:
            return _canonical(value) in self._index
        except (TypeError, ValueError):
            return False

    def in_expressions(self, value: Any) -> Value:
        if self.is_opaque:
            return self.label_of(value) if self.contains(value) else None
        return super().in_expressions(value)


Parameter = IntRange | FloatRange | Choice


def _decimal(value: float) -> Decimal:
    """As it is written in the study, so that 0.1 + 2 × 0.1 is 0.3."""
    return Decimal(repr(value))


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


@dataclass(frozen=True)
class Rule:
    """A condition or a constraint.

    ``parameters`` are those that it names; ``constants`` the fixed engine arguments that it names, by their
    identifiers. A rule that names an absent parameter, or is undefined, is not judged: a constraint then
    holds, a condition does not.
    """

    expression: Expression
    parameters: tuple[Parameter, ...]
    constants: Mapping[str, Value] = field(default_factory=dict, hash=False)
    reason: str = ""

    @property
    def text(self) -> str:
        return self.expression.text

    @property
    def key(self) -> str:
        return self.expression.key

    def holds(self, values: Mapping[str, Any]) -> bool | None:
        """Whether it holds for these parameter values, ``None`` when it is not judged."""
        known: dict[str, Value] = dict(self.constants)
        for parameter in self.parameters:
            if parameter.name not in values:
                return None
            known[parameter.identifier] = parameter.in_expressions(values[parameter.name])
        return self.expression.truth(known)
