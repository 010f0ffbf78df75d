"""LoadPlan: results so far → the next load point, or stop. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from autotuner.benchmark.hopeless import LostAt
from autotuner.metrics.load_level import LoadLevel

if TYPE_CHECKING:
    from autotuner.scoring.max_load import Holds


@dataclass(frozen=True)
class LoadPoint:
    """What to measure next: a level and how many requests are still missing there.

    ``first_index`` is the number of the first prompt: prompts of a level are numbered over all rungs. It is given up
    as soon as any of ``lost_at`` says that its result is sure.
    """

    level: LoadLevel
    requests: int
    first_index: int
    lost_at: tuple[LostAt, ...] = ()


@dataclass(frozen=True)
class PointOutcome:
    """What a LoadPlan sees of a load point that ended in this rung. ``holds``: whether every SLO does, where asked."""

    point: LoadPoint
    failed: bool
    hopeless: bool
    holds: Holds | None = None


class LoadPlan(Protocol):
    def next(self, ended: Sequence[PointOutcome]) -> LoadPoint | None:
        """The next load point of this rung given those that ended, or ``None`` when it is complete."""
        ...
