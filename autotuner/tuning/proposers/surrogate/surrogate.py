"""The searcher `auto`: where the surrogate expects the most for a GPU-second, of all that was not yet proposed."""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np

from autotuner.scoring import Direction, parse_objective
from autotuner.space import SearchSpace
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.proposers.proposer import GainBelief, Outcome
from autotuner.tuning.proposers.surrogate.candidates import candidates_of
from autotuner.tuning.proposers.surrogate.encoding import Encoding, Matrix, Vector
from autotuner.tuning.proposers.surrogate.knowledge import Knowledge
from autotuner.tuning.proposers.surrogate.several import drawn_weights

_FILLING = 5  # trials that are there before anything is expected of others, the default among them
_TRIALS_A_PARAMETER = 3  # beyond those, before it is believed that little is left to find
_DRAWS_PER_POINT = 10
_LEADERS = 5  # about which candidates of a space too large to list are looked for


class SurrogateProposer:
    """A few first points that fill the space, then the largest expected improvement per GPU-second.

    Each is a point of the space that was never proposed, and no default that is measured anyway. What runs counts as
    if it had come out as expected, so that many may run at a time. Of several objectives each proposal is for
    weights of its own, so that they spread over the front.
    """

    learns = True

    def __init__(self, space: SearchSpace, study: Study) -> None:
        self._seed = study.search.seed
        self._rng = random.Random(self._seed)  # noqa: S311  # sampling, not secrets
        self._encoding = Encoding(space)
        self._candidates = candidates_of(space, self._encoding, self._rng)
        directions = [parse_objective(name).direction for name in study.objectives]
        self._knowledge = Knowledge(self._encoding, [1.0 if d is Direction.MAX else -1.0 for d in directions])
        self._objectives = len(directions)
        self._worth_a_trial = study.search.stop.improvement if study.search.stop else 0.0
        self._least_to_judge = _FILLING + _TRIALS_A_PARAMETER * len(space.parameters)
        self._running: dict[str, Config] = {}
        self._ended: dict[str, Config] = {}

    def propose(self, trial_id: str) -> Config | None:
        known = len(self._knowledge) + len(self._running)
        fills = known < _FILLING or not self._knowledge.has_values
        config = self._filling() if fills else self._promising()
        if config is not None:
            self.replay(trial_id, config, None)
        return config

    def expected_gain(self, before: int = 0) -> float | None:
        if self._objectives > 1 or len(self._knowledge) - before < self._least_to_judge:
            return None
        if before:  # what has run since then was open
            knowledge, later = self._knowledge.without_last(before)
            knowledge.learn(self._encoding.matrix([]))
        else:
            knowledge, later = self._knowledge, []
            knowledge.learn(self._running_points())
        asked = [x for x in (self._candidates.open_points(), self._encoding.matrix(later)) if len(x)]
        gains = [gain for x in asked if (gain := knowledge.gain(x)) is not None]
        return max((float(gain.max()) for gain in gains), default=None)

    def expected_gains(self, config: Config, others: Sequence[Config]) -> Sequence[GainBelief] | None:
        if self._objectives > 1 or not self._knowledge.has_values:
            return None
        self._knowledge.learn(self._running_points())
        return self._knowledge.gains_over(config, others, np.random.default_rng(self._seed))

    def tell(self, trial_id: str, outcome: Outcome) -> None:
        self._ended[trial_id] = self._running.pop(trial_id)
        self._knowledge.tell(self._ended[trial_id], outcome)

    def amend(self, trial_id: str, outcome: Outcome) -> None:
        self._knowledge.amend(self._ended[trial_id], outcome)

    def replay(self, trial_id: str, config: Config, outcome: Outcome | None) -> None:
        self._candidates.close(config)
        self._running[trial_id] = config
        if outcome is not None:
            self.tell(trial_id, outcome)

    def _filling(self) -> Config | None:
        """Of some that are drawn the one that is farthest from all that are known.

        Of some, and not of all: the farthest of all are corners, where servers are at their oddest. Ten for each that
        is known (Mitchell: "Spectrally optimal sampling for distribution ray tracing", 1991).
        """
        known = np.vstack([self._knowledge.points, self._running_points()])
        drawn = self._candidates.some(_DRAWS_PER_POINT * (len(known) + 1))
        if not drawn:
            return None
        distances = _distance_to_nearest(self._encoding.matrix(drawn), known)
        return drawn[int(np.argmax(distances))]

    def _promising(self) -> Config | None:
        weights = drawn_weights(self._objectives, self._rng) if self._objectives > 1 else None
        self._knowledge.learn(self._running_points(), weights)
        return self._candidates.best(self._promise, self._knowledge.leaders(_LEADERS))

    def _promise(self, x: Matrix) -> Vector:
        return self._knowledge.promise(x, self._worth_a_trial if self._objectives == 1 else 0.0)

    def _running_points(self) -> Matrix:
        return self._encoding.matrix([*self._running.values()])


def _distance_to_nearest(x: Matrix, known: Matrix) -> Vector:
    if not len(known):
        return np.zeros(len(x))
    squared = ((x[:, None, :] - known[None, :, :]) ** 2).sum(2)
    nearest: Vector = squared.min(1)
    return nearest
