"""What a rung is worth, in words.

What is over the SLOs ranks by how far, and its penalised score says nothing to people: it may be 10^23 ms, or next to
0, for all alike.
"""

from __future__ import annotations

from autotuner.report.text import number, percent, violations_text
from autotuner.scoring import Choice, parse_objective, select_closest
from autotuner.scoring.merit import Grade
from autotuner.scoring.score import Score


def choice_text(choice: Choice, objective: str, scope: str, *, scored: str = "score") -> str:
    """``score 5 (concurrency 8), meets the SLOs``, or ``goodput 3 (concurrency 8), violates ttft_p90_ms (+51 %)``.

    ``scored``: the word before a score; ``scope``: what it is of.
    """
    met = "meets the SLOs" if choice.slo_met else "violates " + violations_text(choice)
    is_over = choice.merit.grade is Grade.VIOLATING
    told = f"{objective} {number(choice.value)}" if is_over else f"{scored} {number(choice.score)}"
    return f"{told} ({scope}), {met}"


def score_text(score: Score) -> str:
    """``12.5``, ``infeasible``, or, of what ranks by it, ``+51 % over``: by the SLO that is missed the most."""
    if not score.feasible:
        return "infeasible"
    over = _most_over(score) if score.merit().grade is Grade.VIOLATING else None
    return number(score.score) if over is None else f"{percent(1 + over)} over"


def score_words(score: Score) -> str:
    """As ``score_text``, where it does not stand under the word score."""
    told = score_text(score)
    if not score.feasible:
        return told
    return f"{told} the SLOs" if told.endswith(" over") else f"score {told}"


def _most_over(score: Score) -> float | None:
    """The greatest ratio at the load point that counts, or at all of them where they are averaged."""
    choice = select_closest({"": score}, parse_objective(next(iter(score.objectives))))
    return max((v.ratio for v in choice.violations), default=None) if choice is not None else None
