"""Knowledge: the trials that the searcher was told of, and what they say of Configs that were not tried."""

from __future__ import annotations

import numpy as np

from autotuner.space.config import Config
from autotuner.tuning.proposers.proposer import Outcome, OutcomeKind
from autotuner.tuning.proposers.surrogate.belief import Belief
from autotuner.tuning.proposers.surrogate.by_level import ByLevel, shows_levels
from autotuner.tuning.proposers.surrogate.by_score import ByScore
from autotuner.tuning.proposers.surrogate.encoding import Encoding, Matrix, Vector
from autotuner.tuning.proposers.surrogate.told import Told
from autotuner.tuning.proposers.surrogate.verdict import Verdict

# The shape that a few values suggest may be wrong, and then nothing is tried where it sees no promise: how much a
# choice matters that was only seen beside a bad value of another. Every third trial is chosen by the prior's shape.
_DISTRUST_EVERY = 3


class Knowledge:
    """Of a study with one objective; ``sign`` is −1 where less of it is better."""

    def __init__(self, encoding: Encoding, sign: float) -> None:
        self._encoding = encoding
        self._sign = sign
        self._told: list[Told] = []
        owners = encoding.owners
        self._cost = Belief(owners)
        self._works = Verdict(owners)
        self._by_level, self._by_score = ByLevel(owners), ByScore(owners)
        self._worth: ByLevel | ByScore = self._by_score

    def tell(self, config: Config, outcome: Outcome) -> None:
        if outcome.kind is OutcomeKind.UNKNOWN:
            return
        by_rung = {rung: self._sign * value for rung, value in outcome.by_rung.items()}
        value = self._sign * outcome.values[0] if outcome.kind is OutcomeKind.COMPLETED else None
        gpu_s, shown = outcome.gpu_s, outcome.shown
        self._told.append(Told(config, outcome.kind, value, by_rung, outcome.meets_slos, gpu_s, shown))

    def __len__(self) -> int:
        return len(self._told)

    @property
    def has_values(self) -> bool:
        """Whether any trial came to its end."""
        return any(told.value is not None for told in self._told)

    @property
    def points(self) -> Matrix:
        return self._encoding.matrix([told.config for told in self._told])

    def leaders(self, count: int) -> list[Config]:
        """The best Configs, the best first."""
        ended = [told for told in self._told if told.value is not None]
        ended.sort(key=lambda told: -(told.value or 0.0))
        return [told.config for told in ended[:count]]

    def learn(self, running: Matrix) -> None:
        """Takes up what was told; ``running``: where it is still to be told."""
        points = self.points
        self._works.learn(points, [told.kind is not OutcomeKind.INFEASIBLE for told in self._told])
        self._worth = self._by_level if self.has_values and shows_levels(self._told) else self._by_score
        self._worth.learn(self._told, points, running)
        measured = [p for p, told in enumerate(self._told) if told.gpu_s > 0 and told.kind is OutcomeKind.COMPLETED]
        self._cost.learn(points[measured], np.log([self._told[place].gpu_s for place in measured]))

    def promise(self, x: Matrix) -> Vector:
        """The logarithm of the improvement to be expected per GPU-second."""
        return self.log_gain(x, trusting=len(self) % _DISTRUST_EVERY != 0) - self._cost.expect(x)[0]

    def log_gain(self, x: Matrix, *, trusting: bool = True) -> Vector:
        """The logarithm of the improvement to be expected."""
        return self._worth.log_gain(x, trusting=trusting) + self._works.log_probability(x)
