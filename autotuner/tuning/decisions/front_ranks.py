"""FrontRanks: how trials of several objectives stand to one another after a rung. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

Vector = tuple[float, ...]  # what is told of each objective, more is better


class FrontRanks:
    """A trial is as good as few others dominate it: nowhere worse than it, and somewhere better.

    By the first objective alone what lies at the front's other end would be stopped, however good it is there. What is
    on the front of its rung has rank 0, the best there is, wherever on it.
    """

    def __init__(self) -> None:
        self._seen: dict[int, dict[str, Vector]] = defaultdict(dict)

    def rank(self, trial_id: str, rung: int, told: Sequence[float]) -> float:
        """Minus the number of other trials that were seen at the same rung and dominate this one, which is then seen.

        Of a trial that is asked of again, its vector of now.
        """
        vector = tuple(told)
        seen = self._seen[rung]
        seen[trial_id] = vector
        return -float(sum(_dominates(other, vector) for other in seen.values()))


def _dominates(one: Vector, other: Vector) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))
