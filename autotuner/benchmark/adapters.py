"""Which model each request asks for: the served one, or one of its LoRA adapters.

A function of a request's index and the seed alone, so that it is the same for every number of worker processes, and
an index has the same model in every level: a warm cache is met by the adapter that filled it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random

_ROUNDING = 1e-9  # a share of 0.29 is meant to give 29 of 100, whatever binary fractions make of it


@dataclass(frozen=True)
class ModelChoice:
    """The names that requests put into ``model``.

    ``base_share`` of the requests ask for ``served``, the others for the ``adapters``, each equally often. Requests
    are dealt in rounds in which each name comes about once, shuffled by the seed so that no name falls in step with
    a dataset that repeats itself.
    """

    served: str
    adapters: tuple[str, ...] = ()
    base_share: float = 0.0
    seed: int = 0

    def of(self, index: int) -> str:
        """The name that request ``index`` asks for."""
        if not self.adapters:
            return self.served
        size = max(1, round(len(self.adapters) / (1.0 - self.base_share)))
        number, place = divmod(index, size)
        turn = number * size + self._shuffled(number, size)[place]
        base_before = self._base_turns(turn)
        if self._base_turns(turn + 1) > base_before:
            return self.served
        return self.adapters[(turn - base_before) % len(self.adapters)]

    def _base_turns(self, turns: int) -> int:
        """How many of the first ``turns`` ask for the served model itself."""
        return math.floor(turns * self.base_share + _ROUNDING)

    def _shuffled(self, number: int, size: int) -> list[int]:
        return Random(f"{self.seed} adapters {number}").sample(range(size), size)  # noqa: S311
