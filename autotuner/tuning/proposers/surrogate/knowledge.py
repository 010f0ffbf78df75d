"""Knowledge: the trials that the searcher was told of, and what they say of Configs that were not tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from autotuner.space.config import Config
from autotuner.tuning.proposers.proposer import Outcome, OutcomeKind
from autotuner.tuning.proposers.surrogate.acquisition import log_expected_improvement
from autotuner.tuning.proposers.surrogate.belief import Belief
from autotuner.tuning.proposers.surrogate.encoding import Encoding, Matrix, Vector
from autotuner.tuning.proposers.surrogate.verdict import Verdict
from autotuner.tuning.proposers.surrogate.warping import Warp, fit_warp

# The shape that a few values suggest may be wrong, and then nothing is tried where it sees no promise: how much a
# choice matters that was only seen beside a bad value of another. Every third trial is chosen by the prior's shape.
_DISTRUST_EVERY = 3
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
        self._value, self._cost = Belief(owners), Belief(owners)
        self._works, self._meets = Verdict(owners), Verdict(owners)
        self._best = 0.0

    def tell(self, config: Config, outcome: Outcome) -> None:
        if outcome.kind is OutcomeKind.UNKNOWN:
            return
        by_rung = {rung: self._sign * value for rung, value in outcome.by_rung.items()}
        value = self._sign * outcome.values[0] if outcome.kind is OutcomeKind.COMPLETED else None
        self._told.append(Told(config, outcome, by_rung, value))

    def __len__(self) -> int:
        return len(self._told)

    @property
    def has_values(self) -> bool:
        """Whether any trial came to its end."""
        return any(told.value is not None for told in self._told)

    @property
    def points(self) -> Matrix:
        return self._points_of(self._told)

    def leaders(self, count: int) -> list[Config]:
        """The best Configs, the best first."""
        ended = [told for told in self._told if told.value is not None]
        ended.sort(key=lambda told: -(told.value or 0.0))
        return [told.config for told in ended[:count]]

    def learn(self, running: Matrix) -> None:
        """Takes up what was told; ``running``: where it is still to be told."""
        self._learn_values(running)
        ended = [told for told in self._told if told.value is not None]
        self._works.learn(self.points, [told.outcome.kind is not OutcomeKind.INFEASIBLE for told in self._told])
        self._meets.learn(self._points_of(ended), [told.outcome.meets_slos for told in ended])
        self._learn_costs()

    def promise(self, x: Matrix) -> Vector:
        """The logarithm of the improvement to be expected per GPU-second."""
        expected = self._value.expect(x, trusting=len(self) % _DISTRUST_EVERY != 0)
        improvement = log_expected_improvement(*expected, self._best)
        sure = self._works.log_probability(x) + self._meets.log_probability(x)
        return improvement + sure - self._cost.expect(x)[0]

    def _learn_values(self, running: Matrix) -> None:
        """Of those that meet the SLOs; while none does, how near each comes to that.

        What fails or breaks an SLO stands for a middling one: nothing is to be hoped for beyond it, and no cliff hides
        what lies on this side. The best is the highest mean among the former and what runs: no single lucky
        measurement.
        """
        ended = [told for told in self._told if told.value is not None]
        aim = [told for told in ended if told.outcome.meets_slos] or ended
        values = np.array([told.value for told in aim], dtype=np.float64)
        if not aim:
            self._value.learn(self._points_of(aim), values)
            self._value.suppose(running)
            self._best = 0.0
            return
        warp = fit_warp(values)
        stopped = [told for told in self._told if told.outcome.kind is OutcomeKind.PRUNED]
        guesses = [(told, guess) for told in stopped if (guess := self._guess(told, aim, warp)) is not None]
        bad = [told for told in self._told if told not in aim and told not in stopped]
        points = self._points_of([*aim, *bad, *(told for told, _ in guesses)])
        middling = np.full(len(bad), np.median(values))
        found = np.concatenate([warp(values), middling, [mean for _, (mean, _) in guesses]])
        noise = np.concatenate([np.zeros(len(aim) + len(bad)), [variance for _, (_, variance) in guesses]])
        self._value.learn(points, found, noise)
        self._value.suppose(running)
        expected = self._value.expect(np.vstack([self._points_of(aim), running]))[0]
        self._best = float(expected.max())

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

    def _points_of(self, trials: Sequence[Told]) -> Matrix:
        return self._encoding.matrix([told.config for told in trials])

    def _learn_costs(self) -> None:
        measured = [t for t in self._told if t.outcome.gpu_s > 0 and t.outcome.kind is OutcomeKind.COMPLETED]
        costs = np.log([told.outcome.gpu_s for told in measured])
        self._cost.learn(self._points_of(measured), costs)
