"""ByScore: what Configs are worth, told by one number a trial."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autotuner.tuning.proposers.proposer import OutcomeKind
from autotuner.tuning.proposers.surrogate.acquisition import log_expected_improvement
from autotuner.tuning.proposers.surrogate.belief import Belief
from autotuner.tuning.proposers.surrogate.encoding import Matrix, Vector
from autotuner.tuning.proposers.surrogate.told import Told, guess
from autotuner.tuning.proposers.surrogate.verdict import Verdict
from autotuner.tuning.proposers.surrogate.warping import Warp, fit_warp


class ByScore:
    """Of those that meet the SLOs; while none does, how near each comes to that.

    What fails or breaks an SLO stands for a middling one: nothing is to be hoped for beyond it, and no cliff hides
    what lies on this side. The best is the highest mean among the former and what runs: no single lucky measurement.
    """

    def __init__(self, owners: NDArray[np.intp]) -> None:
        self._value = Belief(owners)
        self._meets = Verdict(owners)
        self._best = 0.0
        self.has_best = False  # whether any trial has met the SLOs

    def learn(self, told: Sequence[Told], points: Matrix, running: Matrix) -> None:
        ended = [place for place, one in enumerate(told) if one.value is not None]
        meeting = [told[place].meets for place in ended]
        self._meets.learn(points[ended], meeting)
        self.has_best = any(meeting)
        aim = [place for place in ended if told[place].meets] or ended
        values = np.array([told[place].value for place in aim], dtype=np.float64)
        if aim:
            warp = fit_warp(values)
            guesses = _guesses(told, [told[place] for place in aim], warp)
            stopped = {place for place, one in enumerate(told) if one.kind is OutcomeKind.PRUNED}
            bad = [place for place in range(len(told)) if place not in stopped and place not in set(aim)]
            found = np.concatenate(
                [warp(values), np.full(len(bad), np.median(values)), [g[0] for g in guesses.values()]]
            )
            noise = np.concatenate([np.zeros(len(aim) + len(bad)), [g[1] for g in guesses.values()]])
            self._value.learn(points[[*aim, *bad, *guesses]], found, noise)
        else:
            self._value.learn(points[aim], values)
        self._value.suppose(running)
        known = np.vstack([points[aim], running])
        self._best = float(self._value.expect(known)[0].max()) if aim else 0.0

    def log_gain(self, x: Matrix, *, trusting: bool) -> Vector:
        """The logarithm of the improvement to be expected."""
        expected = self._value.expect(x, trusting=trusting)
        return log_expected_improvement(*expected, self._best) + self._meets.log_probability(x)


def _guesses(told: Sequence[Told], ended: Sequence[Told], warp: Warp) -> dict[int, tuple[float, float]]:
    """By their places, those of stopped trials of which something can be said."""
    found = {}
    for place, one in enumerate(told):
        if one.kind is not OutcomeKind.PRUNED or not one.by_rung:
            continue
        rung = max(one.by_rung)
        pairs = [(other.value, other.by_rung[rung]) for other in ended if rung in other.by_rung]
        warped = [(float(last), float(then)) for last, then in warp(np.array(pairs, dtype=np.float64).reshape(-1, 2))]
        guessed = guess(float(warp(np.array([one.by_rung[rung]]))[0]), warped)
        if guessed is not None:
            found[place] = guessed
    return found
