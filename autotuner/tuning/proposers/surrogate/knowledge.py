"""Knowledge: the trials that the searcher was told of, and what they say of Configs that were not tried."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from autotuner.space.config import Config
from autotuner.tuning.proposers.proposer import GainBelief, Outcome, OutcomeKind
from autotuner.tuning.proposers.same_config import asked
from autotuner.tuning.proposers.surrogate.by_level import ByLevel, shows_levels
from autotuner.tuning.proposers.surrogate.by_score import ByScore
from autotuner.tuning.proposers.surrogate.cost import Cost
from autotuner.tuning.proposers.surrogate.encoding import Encoding, Matrix, Vector
from autotuner.tuning.proposers.surrogate.several import scalarised
from autotuner.tuning.proposers.surrogate.told import Told
from autotuner.tuning.proposers.surrogate.verdict import Verdict

# The shape that a few values suggest may be wrong, and then nothing is tried where it sees no promise: how much a
# choice matters that was only seen beside a bad value of another. Every third trial is chosen by the prior's shape.
_DISTRUST_EVERY = 3
_AFTER_ALL_OTHERS = 1e6
_ENDS = (0.025, 0.5, 0.975)
_LEAST_THAT_MEET = 0.05  # of the draws: of fewer there is no interval


class Knowledge:
    """``signs``: of each objective, −1 where less of it is better."""

    def __init__(self, encoding: Encoding, signs: Sequence[float], told: Sequence[Told] = ()) -> None:
        self._encoding = encoding
        self._signs = signs
        self._told = list(told)
        self._aimed_at = self._told  # with one value each
        owners = encoding.owners
        self._cost = Cost(owners)
        self._works = Verdict(owners)
        self._by_level, self._by_score = ByLevel(owners), ByScore(owners)
        self._worth: ByLevel | ByScore = self._by_score
        self._learnt: tuple[object, ...] = ()  # from what
        self._gains: tuple[Matrix, Vector] | None = None  # the points that were asked about last

    def tell(self, config: Config, outcome: Outcome) -> None:
        if outcome.kind is not OutcomeKind.UNKNOWN:
            self._told.append(self._read(config, outcome))

    def amend(self, config: Config, outcome: Outcome) -> None:
        """What was told of a Config is replaced, where there was anything."""
        places = [place for place, told in enumerate(self._told) if told.config == config]
        if places and outcome.kind is not OutcomeKind.UNKNOWN:
            self._told[places[-1]] = self._read(config, outcome)
            self._learnt = ()

    def _read(self, config: Config, outcome: Outcome) -> Told:
        by_rung = {rung: self._signs[0] * value for rung, value in outcome.by_rung.items()}
        values = self._turned(outcome.values) if outcome.kind is OutcomeKind.COMPLETED else ()
        return Told(
            config,
            outcome.kind,
            values,
            by_rung,
            meets=outcome.meets_slos,
            gpu_s=outcome.gpu_s,
            shown=outcome.shown,
            start_gpu_s=outcome.start_gpu_s,
            all_by_rung={rung: self._turned(told) for rung, told in outcome.all_by_rung.items()},
        )

    def _turned(self, values: Sequence[float]) -> tuple[float, ...]:
        """More is better."""
        return tuple(sign * value for sign, value in zip(self._signs, values, strict=False))

    def __len__(self) -> int:
        return len(self._told)

    @property
    def has_values(self) -> bool:
        """Whether any trial came to its end."""
        return any(told.values for told in self._told)

    @property
    def points(self) -> Matrix:
        return self._encoding.matrix([told.config for told in self._told])

    def without_last(self, count: int) -> tuple[Knowledge, list[Config]]:
        """What was known before the last so many trials were told of, and the Configs of these."""
        kept = len(self._told) - count
        return Knowledge(self._encoding, self._signs, self._told[:kept]), [told.config for told in self._told[kept:]]

    def leaders(self, count: int) -> list[Config]:
        """The best Configs, the best first."""
        ended = [told for told in self._aimed_at if told.values]
        ended.sort(key=lambda told: -told.values[0])
        return [told.config for told in ended[:count]]

    def learn(self, running: Matrix, weights: Vector | None = None) -> None:
        """Takes up what was told; ``running``: where it is still to be told; ``weights``: of several objectives."""
        if self._learnt == (of := (len(self), running.tobytes(), None if weights is None else weights.tobytes())):
            return
        self._learnt, self._gains = of, None
        points = self.points
        told = self._aimed_at = self._told if weights is None else scalarised(self._told, weights)
        self._works.learn(points, [one.kind is not OutcomeKind.INFEASIBLE for one in told])
        self._worth = self._by_level if self.has_values and shows_levels(told) else self._by_score
        self._worth.learn(told, points, running)
        self._cost.learn(told, points)

    def promise(self, x: Matrix, worth_a_trial: float = 0.0) -> Vector:
        """The logarithm of the improvement to be expected per GPU-second.

        What improves by less than ``worth_a_trial``, a share, comes after all that improves by more: else cheap Configs
        that promise next to nothing would be tried one after another before a dear one that promises much.
        """
        gain = self._log_gain(x, trusting=len(self) % _DISTRUST_EVERY != 0)
        promise = gain - self._cost.expect(x)
        if not self._worth.has_best or not worth_a_trial:
            return promise
        return np.where(gain >= np.log(worth_a_trial), promise, promise - _AFTER_ALL_OTHERS)

    def gain(self, x: Matrix) -> Vector | None:
        """The relative improvement over the best that is to be expected; ``None`` while none meets the SLOs.

        Values are logarithms: the difference of two is how much better one is, as a share. By the shape that was found
        or by the prior's, whichever expects more: that nothing is left must not rest on a shape that may be wrong.
        """
        if not self._worth.has_best:
            return None
        return np.exp(np.maximum(self._log_gain(x, trusting=True), self._log_gain(x, trusting=False)))

    def gains_over(self, config: Config, others: Sequence[Config], rng: np.random.Generator) -> list[GainBelief] | None:
        """How much better a Config that was told of is than each of the others; ``None``: as ``Comparing`` says."""
        told = next((one for one in self._told if asked(one.config) == asked(config) and one.values), None)
        met = [] if told is None else [shown.level for shown in told.last if shown.meets]
        if not isinstance(self._worth, ByLevel) or not met:
            return None
        one, x = self._encoding.matrix([config]), self._encoding.matrix(others)
        starts = self._works.log_probability(np.vstack([one, x]))
        meets = np.exp(starts + self._worth.log_probability(np.vstack([one, x])))
        columns = self._worth.places(met)
        found = []
        for place, (ours, theirs) in enumerate(self._worth.drawn(one, x, rng)):
            gains = ours[:, columns].max(1) - theirs.max(1)
            found.append(_belief(gains, float(meets[0]), float(meets[1 + place])))
        return found

    def _log_gain(self, x: Matrix, *, trusting: bool) -> Vector:
        if trusting and self._gains is not None and self._gains[0] is x:
            return self._gains[1]
        gain = self._worth.log_gain(x, trusting=trusting) + self._works.log_probability(x)
        if trusting:
            self._gains = x, gain
        return gain


def _belief(gains: Vector, meets: float, other_meets: float) -> GainBelief:
    """``gains``: drawn ones; those over what meets no SLO have no end."""
    known = gains[np.isfinite(gains)]
    if len(known) < _LEAST_THAT_MEET * len(gains):
        return GainBelief(None, None, None, meets, other_meets)
    low, middle, high = (float(end) for end in np.quantile(known, _ENDS))
    return GainBelief(middle, low, high, meets, other_meets)
