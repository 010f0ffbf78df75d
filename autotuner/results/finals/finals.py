"""Finals: what the fresh runs of the finalists and of the default decide. Pure.

    round 1: the best and the default; then what the spread of these leaves as likely, the other finalists
    each round: who is clearly worse than another, or than the default, is out
    the end: one is clearly better than the default, none is left that may be, or the rounds are spent

The choice and its interval rest on fresh runs alone, since the search's best is partly luck.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from autotuner.results.finals.spread import Spread, pooled_spread
from autotuner.scoring.merit import Grade

CONFIDENCE = 0.95
# What is to be expected of a Config less than half a percent over the best is not worth a run: no user would feel it,
# and a sixth of the improvement at which a search stops.
_WORTH_A_RUN = 0.005
# Nominal levels for 1, 2, … equally spaced looks: Pocock, Biometrika 64 (1977); Jennison and Turnbull, Group
# Sequential Methods (2000), table 2.1. Beyond these they are shared out evenly, which is rather too strict.
_POCOCK = (0.05, 0.0294, 0.0221, 0.0182, 0.0158, 0.0142, 0.0130, 0.0120, 0.0112, 0.0106)


@dataclass(frozen=True)
class Run:
    """One measurement of a Config: the logarithm of the objective, turned so that more is better (``None``: there is
    no value, or it is 0), and how it stands to the SLOs."""

    good: float | None
    grade: Grade


FAILED = Run(None, Grade.NOTHING)  # by its Config's own fault


def _rounding(step: float) -> float:
    """The standard deviation of what is lost by rounding to steps of this share, in logarithms (Sheppard)."""
    return math.log1p(step) / math.sqrt(12)


@dataclass(frozen=True)
class Gain:
    """Over the default, in logarithms: the mean of ``rounds`` paired rounds, and half of its interval, where that
    can be had."""

    rounds: int
    mean: float
    half_width: float | None

    @property
    def is_clear(self) -> bool:
        return self.half_width is not None and self.mean - self.half_width > 0

    @property
    def is_ruled_out(self) -> bool:
        """Whether there is none that anyone would feel."""
        return self.half_width is not None and self.mean + self.half_width < _WORTH_A_RUN


@dataclass(frozen=True)
class Finals:
    """``candidates``: the search's best, then those that came next, as many as may be finalists. ``searched``: their
    runs and the default's in the search, at full fidelity; ``fresh``: by round. ``rounds``: how many there may be.
    ``changes``: in how many values a candidate differs from the default. ``step``: the share between a value that can
    be measured and the next one; 0 where every value can be. ``plainer``: of all that came to their end those that are
    the best with some of its settings as the default has them, the plainest first.
    """

    default: str
    candidates: tuple[str, ...]
    rounds: int
    searched: Mapping[str, Run]
    fresh: Mapping[str, Mapping[int, Run]]
    changes: Mapping[str, int]
    step: float = 0.0
    plainer: tuple[str, ...] = ()

    def until(self, last: int) -> Finals:
        """As it was known after round ``last``."""
        kept = {name: {n: run for n, run in runs.items() if n <= last} for name, runs in self.fresh.items()}
        return replace(self, fresh=kept)

    def of(self, *names: str) -> Finals:
        """As it was known without the fresh runs of any others."""
        return replace(self, fresh={name: runs for name, runs in self.fresh.items() if name in names})

    @property
    def entrants(self) -> tuple[str, ...]:
        """All that may be finalists, the search's best first."""
        return (*self.candidates, *(name for name in self.plainer if name not in self.candidates))

    # ── figures ───────────────────────────────────────────────────────────────────────────────

    @cached_property
    def spread(self) -> Spread | None:
        values = {name: [run.good] for name, run in self.searched.items() if run.good is not None}
        fresh = {
            name: {n: run.good for n, run in self.fresh.get(name, {}).items() if run.good is not None}
            for name in (self.default, *self.entrants)
        }
        found = pooled_spread(values, fresh)
        return None if found is None else found.at_least(_rounding(self.step))

    @cached_property
    def measured(self) -> tuple[str, ...]:
        """Of those that may be finalists the ones that have run afresh."""
        return tuple(name for name in self.entrants if self.fresh.get(name))

    def gain(self, name: str) -> Gain | None:
        """Over the default; ``None`` without a round that both came through, or where one of these has no value.

        Its interval covers whichever finalist is chosen and in whichever round it is decided: what may be wrong in
        5 % of studies is shared out among the finalists (Bonferroni), and that of each among its rounds (Pocock).
        """
        return self.difference(name, self.default)

    def difference(self, name: str, other: str) -> Gain | None:
        """As ``gain``, over any other that has run afresh."""
        pairs = self._pairs(name, other)
        if not pairs or len(pairs) < self._rounds_of(name, other):
            return None
        mean = math.fsum(a - b for a, b in pairs) / len(pairs)
        spread = self.spread
        return Gain(len(pairs), mean, None if spread is None else spread.half_width(len(pairs), self._confidence))

    @property
    def _confidence(self) -> float:
        return 1 - _wrong_a_round(self.rounds) / max(len(self.measured), 1)

    def _may_become_clear(self, gain: Gain) -> bool:
        """Whether the rounds that are left have a chance of one in twenty to make it a clear one, by what is known."""
        to_come = self.rounds - gain.rounds
        if self.spread is None or to_come <= 0:
            return self.spread is None
        # Each round to come tells as much more of the spread as there are finalists left.
        at_the_end = replace(self.spread, freedom=self.spread.freedom + to_come * len(self.left))
        needed = at_the_end.half_width(self.rounds, self._confidence) - gain.mean
        # The mean of all rounds is off that of the first ones by what those to come are off these, times their share.
        off = self.spread.error(1) * math.sqrt(1 / gain.rounds + 1 / to_come) * to_come / self.rounds
        return self.spread.exceeds(needed, off) > 1 - CONFIDENCE

    def _pairs(self, name: str, other: str) -> list[tuple[float, float]]:
        ours, theirs = self.fresh.get(name, {}), self.fresh.get(other, {})
        found = ((ours[n].good, theirs[n].good) for n in sorted(ours) if n in theirs)
        return [(a, b) for a, b in found if a is not None and b is not None]

    def _rounds_of(self, name: str, other: str) -> int:
        """That both came through, with values or without."""
        ours, theirs = self.fresh.get(name, {}), self.fresh.get(other, {})
        return sum(n in theirs and FAILED not in (run, theirs[n]) for n, run in ours.items())

    def grades(self, name: str) -> list[Grade]:
        """Of its run in the search, and of its fresh ones."""
        searched = [self.searched[name].grade] if name in self.searched else []
        return [*searched, *(run.grade for run in self.fresh.get(name, {}).values())]

    # ── decisions ─────────────────────────────────────────────────────────────────────────────

    @property
    def rivals(self) -> tuple[str, ...]:
        """Candidates besides the best from which more is to be expected than from it, by as much as is worth a run; and
        before them the plainest of ``plainer`` that is not seen to lose anything. No more than there are candidates.

        Judged by their runs in the search, and by the spread of what ran afresh.
        """
        best, *others = self.candidates
        top = self.searched.get(best)
        if self.spread is None or top is None or top.good is None:
            return ()
        error = self.spread.error(1)
        ahead = {
            name: run.good - top.good
            for name, run in self.searched.items()
            if run.good is not None and run.grade == top.grade
        }
        found = [n for n in others if n in ahead and _expected_gain(ahead[n], error) >= _WORTH_A_RUN]
        plain = [n for n in self.plainer if n in ahead and -ahead[n] <= self._not_felt(n, error)][:1]
        return tuple(dict.fromkeys([*plain, *found]))[: len(others)]

    def _not_felt(self, name: str, least: float) -> float:
        """By how much a finalist may be behind and still be as good: by ``least``, or, if it is the best but for what
        was put back, by what nobody would feel."""
        return max(least, _WORTH_A_RUN) if name in self.plainer else least

    @property
    def left(self) -> tuple[str, ...]:
        """Finalists that may still be chosen, the one that leads first.

        None where all of them failed, and while the search's best, which may be a new one, has not run afresh.
        """
        if self.candidates[0] not in self.measured:
            return ()
        standing = [name for name in self.measured if FAILED not in self.fresh[name].values()]
        leads = sorted(standing, key=self._standing, reverse=True)
        return tuple(name for name in leads if not self._is_beaten(name, leads[0]))

    def _standing(self, name: str) -> tuple[Grade, float]:
        gain = self.gain(name)
        return min(run.grade for run in self.fresh[name].values()), -math.inf if gain is None else gain.mean

    def _is_beaten(self, name: str, leader: str) -> bool:
        """Whether it is clearly worse than the leader: by what it does to the SLOs, or by a single interval."""
        if self._standing(name)[0] < self._standing(leader)[0]:
            return True
        behind, rounds = self._behind(name, leader)
        if self.spread is None or behind <= 0:
            return False
        return behind > self._not_felt(name, self.spread.half_width(rounds, CONFIDENCE))

    def _behind(self, name: str, leader: str) -> tuple[float, int]:
        pairs = self._pairs(leader, name)
        return (math.fsum(a - b for a, b in pairs) / len(pairs), len(pairs)) if pairs else (0.0, 1)

    @property
    def chosen(self) -> str | None:
        """The plainest of those within one standard error of the finalist that leads, itself included.

        As in "one standard error" (Breiman and others, Classification and Regression Trees, 1984). What would not be
        recommended in place of a leader that is does not count. ``None`` without a fresh run.
        """
        if not self.left:
            return None
        leader = self.left[0]
        alike = [name for name in self.left if name == leader or self._is_as_good(name, leader)]
        return min(alike, key=lambda name: (self.changes.get(name, 0), alike.index(name)))

    def _is_as_good(self, name: str, leader: str) -> bool:
        ours, theirs = self.gain(name), self.gain(leader)
        if self.spread is None or ours is None or theirs is None or (theirs.is_clear and not ours.is_clear):
            return False
        behind, rounds = self._behind(name, leader)
        return behind <= self._not_felt(name, self.spread.error(rounds))

    @property
    def is_decided(self) -> bool:
        """Whether further rounds are of no use, by what is known after a whole round."""
        if not self.left:
            return self.candidates[0] in self.measured
        if self.meets_what_the_default_breaks(self.left[0]):
            return True
        gains = [self.gain(name) for name in self.left]
        if any(g is None for g in gains):
            return False
        known = [g for g in gains if g is not None]
        return known[0].is_clear or not any(self._may_become_clear(g) and not g.is_ruled_out for g in known)

    def meets_what_the_default_breaks(self, name: str) -> bool:
        """Whether all its runs met the SLOs and none of the default's did, of which there are two at least."""
        ours, theirs = self.grades(name), self.grades(self.default)
        enough = min(len(ours), len(theirs)) > 1 and bool(self.fresh.get(self.default))
        return enough and min(ours) is Grade.MEETING and max(theirs) < Grade.MEETING


def _wrong_a_round(rounds: int) -> float:
    """How often an interval may be wrong in each of so many looks at growing data, to be so in any in 5 %."""
    most = len(_POCOCK)
    return _POCOCK[rounds - 1] if 1 <= rounds <= most else _POCOCK[-1] * most / max(rounds, most)


def in_turn(names: Sequence[str], number: int) -> list[str]:
    """Who runs when in a round, counted from 1: each goes first in turn, so that a drift favours none."""
    shift = (number - 1) % len(names) if names else 0
    return [*names[shift:], *names[:shift]]


def _expected_gain(ahead: float, error: float) -> float:
    """E[max(0, X)] of X ~ N(ahead, error²)."""
    if error <= 0:
        return max(0.0, ahead)
    z = ahead / error
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return ahead * math.erfc(-z / math.sqrt(2)) / 2 + error * density
