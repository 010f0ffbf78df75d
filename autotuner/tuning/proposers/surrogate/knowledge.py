"""Knowledge: the trials that the searcher was told of, and what they say of Configs that were not tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import log_ndtr

from autotuner.space.config import Config
from autotuner.tuning.proposers.proposer import Outcome, OutcomeKind
from autotuner.tuning.proposers.surrogate.acquisition import log_expected_improvement
from autotuner.tuning.proposers.surrogate.belief import Belief
from autotuner.tuning.proposers.surrogate.encoding import Encoding, Matrix, Vector
from autotuner.tuning.proposers.surrogate.warping import Warp, fit_warp

_PAIRS_TO_TRUST_A_RUNG = 3  # trials of which both that rung and the last one are known


@dataclass(frozen=True)
class Told:
    """``value``: more is better."""

    config: Config
    outcome: Outcome
    by_rung: Mapping[int, float]
    value: float | None


class Knowledge:
    """Of a study with one objective; ``sign`` is −1 where less of it is better."""

    def __init__(self, encoding: Encoding, sign: float) -> None:
        self._encoding = encoding
        self._sign = sign
        self._told: list[Told] = []
        owners = encoding.owners
        self._value, self._works, self._cost = Belief(owners), Belief(owners), Belief(owners)
        self._has_failures = False

    def tell(self, config: Config, outcome: Outcome) -> None:
        if outcome.kind is OutcomeKind.UNKNOWN:
            return
        by_rung = {rung: self._sign * value for rung, value in outcome.by_rung.items()}
        value = self._sign * outcome.values[0] if outcome.kind is OutcomeKind.COMPLETED else None
        self._told.append(Told(config, outcome, by_rung, value))

    def __len__(self) -> int:
        return len(self._told)

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
        self._learn_values()
        self._value.suppose(running)
        self._learn_what_works()
        self._learn_costs()

    def promise(self, x: Matrix) -> Vector:
        """The logarithm of the improvement to be expected per GPU-second."""
        promise = log_expected_improvement(*self._value.expect(x), self._value.best)
        promise -= self._cost.expect(x)[0]
        if self._has_failures:
            mean, deviation = self._works.expect(x)
            promise += log_ndtr(mean / deviation)
        return promise

    def _learn_values(self) -> None:
        ended = [told for told in self._told if told.value is not None]
        if not ended:
            self._value.learn(np.zeros((0, self.points.shape[1])), np.zeros(0))
            return
        values = np.array([told.value for told in ended], dtype=np.float64)
        warp = fit_warp(values, np.array([told.outcome.meets_slos for told in ended]))
        configs, found, noise = [told.config for told in ended], [*warp(values)], [0.0] * len(ended)
        for told in self._told:
            if told.outcome.kind is OutcomeKind.PRUNED and (guess := self._guess(told, ended, warp)):
                configs.append(told.config)
                found.append(guess[0])
                noise.append(guess[1])
        self._value.learn(self._encoding.matrix(configs), np.array(found), np.array(noise))

    def _guess(self, stopped: Told, ended: list[Told], warp: Warp) -> tuple[float, float] | None:
        """What a trial that was stopped early would have come to, and the variance of that.

        From what the same rung showed of those that came to their end: a rung of few, cold requests is off by much and
        differently from one Config to the next, and is then hardly listened to.
        """
        if not stopped.by_rung:
            return None
        rung = max(stopped.by_rung)
        pairs = [(t.value, t.by_rung[rung]) for t in ended if t.value is not None and rung in t.by_rung]
        if len(pairs) < _PAIRS_TO_TRUST_A_RUNG:
            return None
        last, then = warp(np.array(pairs, dtype=np.float64).T)
        gained = last - then
        seen = float(warp(np.array([stopped.by_rung[rung]]))[0])
        return seen + float(gained.mean()), float(gained.var(ddof=1)) * (1 + 1 / len(pairs))

    def _learn_what_works(self) -> None:
        """A regression on ±1 (Rasmussen and Williams, 2006, section 6.5): where 0 lies on its scale parts the two."""
        works = np.array([told.outcome.kind is not OutcomeKind.INFEASIBLE for told in self._told])
        self._has_failures = not works.all()
        if self._has_failures:
            self._works.learn(self.points, np.where(works, 1.0, -1.0))

    def _learn_costs(self) -> None:
        measured = [t for t in self._told if t.outcome.gpu_s > 0 and t.outcome.kind is OutcomeKind.COMPLETED]
        costs = np.log([told.outcome.gpu_s for told in measured])
        self._cost.learn(self._encoding.matrix([told.config for told in measured]), costs)
