"""Cost: GPU-seconds that a trial of any Config is expected to hold, from those that were told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from autotuner.tuning.proposers.proposer import OutcomeKind
from autotuner.tuning.proposers.surrogate.belief import Belief
from autotuner.tuning.proposers.surrogate.encoding import Matrix, Vector
from autotuner.tuning.proposers.surrogate.told import Told


class Cost:
    """Start-up and all after it are quantities of their own: what makes a server slow to start (its size, what it
    compiles) is not what makes it slow to measure. Logarithms of GPU-seconds.

    Each trial whose server answered tells of its start-up, also one that was stopped early; of the rest only what was
    measured to the end.
    """

    def __init__(self, owners: NDArray[np.intp]) -> None:
        self._start = Belief(owners)
        self._rest = Belief(owners)
        self._starts_are_known = False

    def learn(self, told: Sequence[Told], points: Matrix) -> None:
        """``points``: of ``told``, in its order."""
        started = [place for place, one in enumerate(told) if one.start_gpu_s > 0]
        ended = [place for place, one in enumerate(told) if _rest(one) > 0 and one.kind is OutcomeKind.COMPLETED]
        self._starts_are_known = bool(started)
        self._start.learn(points[started], np.log([told[place].start_gpu_s for place in started]))
        self._rest.learn(points[ended], np.log([_rest(told[place]) for place in ended]))

    def expect(self, x: Matrix) -> Vector:
        """The logarithm of GPU-seconds at each point; zeros, as if all cost the same, before any is known."""
        rest = self._rest.expect(x)[0]
        return np.logaddexp(self._start.expect(x)[0], rest) if self._starts_are_known else rest


def _rest(told: Told) -> float:
    return told.gpu_s - told.start_gpu_s
