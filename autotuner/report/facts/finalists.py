"""What the fresh runs of finalists say, in words."""

from __future__ import annotations

from collections.abc import Iterator

from autotuner.report.text import number, percent
from autotuner.results.improvement import FinalistStanding, Improvement


def gain_text(ratio: float | None, ci95: tuple[float, float] | None) -> str:
    """``+34 % (95 % interval +21 % to +48 %)``, from default to another; empty without a ratio."""
    if ratio is None:
        return ""
    if ci95 is None:
        return percent(ratio)
    low, high = ci95
    return f"{percent(ratio)} (95 % interval {percent(low)} to {percent(high)})"


def finalists_lines(improvement: Improvement) -> Iterator[str]:
    """Who was measured afresh beside the best and the default, and by how much runs of one Config differ."""
    if len(improvement.finalists) > 1:
        told = "; ".join(_standing(finalist) for finalist in improvement.finalists)
        yield f"Finalists, over the default: {told}."
    if improvement.noise is not None:
        yield f"Runs of one Config differ by about {number(100 * improvement.noise)} % (standard deviation)."


def _standing(finalist: FinalistStanding) -> str:
    gain = gain_text(finalist.ratio, finalist.ci95) or "no ratio"
    rounds = f"{finalist.rounds} round{'' if finalist.rounds == 1 else 's'}"
    return f"trial {finalist.trial_id} {gain}, {rounds}{', then out' if finalist.is_out else ''}"
