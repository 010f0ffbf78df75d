"""The champion: what a report puts beside the default."""

from __future__ import annotations

from autotuner.results.points import TrialPoint
from autotuner.results.result import StudyResults


def champion(results: StudyResults) -> TrialPoint | None:
    """What the report puts beside the default: the best, or, where that misses the SLOs, what came closest."""
    best = results.best
    if best is not None and (best.slo_met or results.study.search.select == "score"):
        return best
    return results.closest or best


def champion_name(results: StudyResults) -> str:
    """``best`` or ``closest``: which of the two the champion is."""
    found = champion(results)
    is_best = found is not None and (found.slo_met or results.study.search.select == "score")
    return "best" if is_best else "closest"
