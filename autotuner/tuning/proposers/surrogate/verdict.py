"""Verdict: how probable it is that a Config does something, after some were seen to do it or not."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from autotuner.tuning.proposers.surrogate.belief import Belief
from autotuner.tuning.proposers.surrogate.encoding import Matrix, Vector


class Verdict:
    """A regression on ±1, whose mean and doubt become a probability: that of lying above 0.

    Rasmussen and Williams, 2006, section 6.5. However sure the regression is, the doubt of a mean of so many answers
    is left, so that no region is given up for ever for a few failures.
    """

    def __init__(self, owners: NDArray[np.intp]) -> None:
        self._belief = Belief(owners)
        self._doubt: float | None = None  # None: all answers were alike

    def learn(self, x: Matrix, answers: Sequence[bool]) -> None:
        self._doubt = 1 / math.sqrt(len(answers)) if len(set(answers)) > 1 else None
        if self._doubt is not None:
            self._belief.learn(x, np.where(answers, 1.0, -1.0))

    def log_probability(self, x: Matrix) -> Vector:
        """That the answer is yes; 0 where no other was seen."""
        if self._doubt is None:
            return np.zeros(len(x))
        mean, deviation = self._belief.expect(x)
        probability: Vector = log_ndtr(mean / np.sqrt(self._doubt**2 + deviation**2))
        return probability
