"""Trace: what a way of searching did, by the GPU-seconds that were spent when it did it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autotuner.scoring.merit import Merit
from autotuner.space.config import Config
from benchmarks.search_cost.surface import Surface


@dataclass(frozen=True)
class Step:
    """``incumbent``: what was held to be the best once ``spent_s`` GPU-seconds had been spent."""

    spent_s: float
    incumbent: Config | None


@dataclass(frozen=True)
class Trace:
    """``ended_s``: GPU-seconds until the search had ended by its own rule; ``recommended``: what it then recommends."""

    steps: Sequence[Step]
    ended_s: float
    recommended: Config

    def found_s(self, surface: Surface) -> float | None:
        """GPU-seconds until the incumbent's true score was within 2 % of the best's; ``None``: it never was."""
        return next((s.spent_s for s in self.steps if s.incumbent and surface.is_near(s.incumbent)), None)


def incumbents(tried: Iterable[tuple[float, Config, Merit | None]]) -> list[Step]:
    """Steps from (GPU-seconds of one trial, its Config, its measured merit or ``None``) in their order."""
    spent_s = 0.0
    best: tuple[Merit, Config] | None = None
    steps = []
    for seconds, config, merit in tried:
        spent_s += seconds
        if merit is not None and (best is None or merit > best[0]):
            best = (merit, config)
        steps.append(Step(spent_s, best[1] if best else None))
    return steps
