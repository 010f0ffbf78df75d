"""How long a study will take yet, at its pace so far."""

from __future__ import annotations

_ENDS_BEFORE_ESTIMATE = 2


def left_s(elapsed_s: float, ended: int, to_go: int, budget_left_s: float | None) -> float | None:
    """Seconds to go, at most what the budget leaves; ``None`` while too few trials have ended to tell.

    ``ended`` and ``to_go`` count trials of this life of the study, confirmations included.
    """
    if ended < _ENDS_BEFORE_ESTIMATE:
        return None
    paced = elapsed_s / ended * max(0, to_go)
    return paced if budget_left_s is None else min(paced, budget_left_s)
