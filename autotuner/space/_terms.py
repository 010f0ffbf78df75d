"""Terms: pieces of expressions, as short as the values that their names can have allow."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from autotuner.space._nodes import Value


class Terms:
    """Writes a fixed value as a number, a searched one as its name, and leaves out factors that are 1."""

    def __init__(self, values: Mapping[str, Sequence[Value]], concepts: Mapping[str, str]) -> None:
        self._values = values
        self._concepts = concepts

    def of_concept(self, concept: str) -> str | None:
        """The identifier that an engine has for a concept, where its values are known."""
        name = self._concepts.get(concept)
        return name if name in self._values else None

    def values(self, name: str) -> tuple[Value, ...]:
        return tuple(self._values.get(name, ()))

    def is_searched(self, name: str) -> bool:
        return len(self.values(name)) > 1

    def fixed(self, name: str) -> Value:
        """Its only value; ``None`` where there are several, or none is known."""
        values = self.values(name)
        return values[0] if len(values) == 1 else None

    def product(self, *names: str) -> str:
        """``tp * pp``, with parentheses where there are two factors; empty where all are 1."""
        factors = [text for name in names if (text := self._factor(name))]
        return f"({' * '.join(factors)})" if len(factors) > 1 else "".join(factors)

    def largest(self, name: str) -> float:
        numbers = (value for value in self.values(name) if isinstance(value, int | float))
        return max(numbers, default=1)

    def _factor(self, name: str) -> str:
        if self.is_searched(name):
            return name
        value = self.fixed(name)
        return "" if value in (None, 1) else f"{value}"


def divided(amount: str, by: str) -> str:
    return f"{amount} / {by}" if by else amount


def down(gib: float) -> str:
    """To a tenth, never more than it is."""
    return _tenths(math.floor(round(gib * 10, 6)))


def up(gib: float) -> str:
    """To a tenth, never less than it is."""
    return _tenths(math.ceil(round(gib * 10, 6)))


def _tenths(number: int) -> str:
    return f"{number // 10}" if number % 10 == 0 else f"{number // 10}.{number % 10}"
