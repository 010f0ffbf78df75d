"""Shown: what one load level of a trial showed of its Config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autotuner.metrics.load_level import LoadLevel


@dataclass(frozen=True)
class Shown:
    """``level``: ``None`` for all levels together, where the objective takes their mean.

    ``value``: the logarithm of the objective's value, turned so that more is better; ``None`` where there is none.
    ``margins``: of each SLO term, by its column, log(value / threshold): above 0 it is violated. ``works``: whether
    nothing but its SLOs keeps the level from being chosen: no errors, no broken answers, every term measured.
    ``in_full``: with all its requests: no later rung changes it.
    """

    level: LoadLevel | None
    value: float | None
    margins: Mapping[str, float] = field(default_factory=dict)
    works: bool = True
    in_full: bool = False

    @property
    def meets(self) -> bool:
        return self.works and self.value is not None and all(margin <= 0 for margin in self.margins.values())
