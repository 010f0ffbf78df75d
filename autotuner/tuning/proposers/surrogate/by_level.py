"""ByLevel: what Configs are worth, from what each load level showed of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import copy

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from autotuner.metrics.load_level import LoadLevel
from autotuner.tuning.proposers.proposer import OutcomeKind
from autotuner.tuning.proposers.shown import Shown
from autotuner.tuning.proposers.surrogate.acquisition import log_expected_improvement
from autotuner.tuning.proposers.surrogate.belief import Belief
from autotuner.tuning.proposers.surrogate.beside import Beside
from autotuner.tuning.proposers.surrogate.encoding import Matrix, Vector
from autotuner.tuning.proposers.surrogate.told import Told, guess
from autotuner.tuning.proposers.surrogate.verdict import Verdict
from autotuner.tuning.proposers.surrogate.warping import Warp, fit_warp

# Shapes that are as likely as the one that was found, and draws by each, where it is asked how sure a difference is: by
# the one that few values suggest intervals are too narrow. Of 2,000 draws the ends are off by a twentieth of the width.
_SHAPES, _DRAWS_A_SHAPE = 40, 50
_LEAST_SHARE = 0.01  # of a probability: beyond it nothing changes that is proposed

_Level = LoadLevel | None
_Quantity = Callable[[Shown], float | None]
_Scale = Callable[[Vector], Vector]


def shows_levels(told: Iterable[Told]) -> bool:
    """Whether every trial that came to its end tells of its levels, and these of every SLO term."""
    ended = [one for one in told if one.kind is OutcomeKind.COMPLETED]
    terms = {term for one in ended for shown in one.last for term in shown.margins}
    return all(one.last and all(terms == {*s.margins} for s in one.last if s.works) for one in ended)


class ByLevel:
    """A process for the objective's value at each load level and for each SLO term's margin there.

    These change smoothly where a score has cliffs: at an SLO, and where another load level becomes the one to choose.
    A Config improves on the best at a level by what its value is expected to be above it, where its margins hold; of
    the levels that count which promises the most.
    """

    def __init__(self, owners: NDArray[np.intp]) -> None:
        self._owners = owners
        self._value = _AtLevels(owners)
        self._margins: dict[str, _AtLevels] = {}
        self._works: dict[_Level, Verdict] = {}
        self._levels: list[_Level] = []
        self._bests: list[tuple[float, float]] = []  # the best's value, with the probability that it is that

    def learn(self, told: Sequence[Told], points: Matrix, running: Matrix) -> None:
        """Raises ValueError where no trial has shown a level."""
        self._levels = sorted({s.level for one in told for s in one.last}, key=lambda level: (level is not None, level))
        self._value.learn(told, points, self._levels, lambda shown: shown.value, _warped)
        terms = dict.fromkeys(term for one in told for shown in one.last for term in shown.margins)
        for term in terms:
            known = self._margins.setdefault(term, _AtLevels(self._owners))
            known.learn(told, points, self._levels, lambda shown, term=term: shown.margins.get(term), _squeezed)  # type: ignore[misc]
        self._learn_what_works(told, points)
        for quantity in (self._value, *self._margins.values()):
            quantity.suppose(running)
        self._find_bests(told, points, running)

    @property
    def has_best(self) -> bool:
        """Whether any trial has met the SLOs."""
        return bool(self._bests)

    def log_gain(self, x: Matrix, *, trusting: bool) -> Vector:
        """The logarithm of the improvement to be expected; of the probability to meet the SLOs, while none does."""
        sure = self._log_probability(x, trusting=trusting)
        if self._bests:
            expected = self._value.expect(x, trusting=trusting)
            gains = [log_expected_improvement(*expected, best) + np.log(share) for best, share in self._bests]
            sure = sure + np.logaddexp.reduce(gains)
        gain: Vector = sure.max(1)
        return gain

    def places(self, levels: Iterable[_Level]) -> list[int]:
        """Where these levels stand among the columns."""
        return [self._levels.index(level) for level in levels]

    def log_probability(self, x: Matrix) -> Vector:
        """That the SLOs are met, at the level where that is the most probable."""
        most: Vector = self._log_probability(x, trusting=True).max(1)
        return most

    def drawn(self, one: Matrix, x: Matrix, rng: np.random.Generator) -> list[tuple[Matrix, Matrix]]:
        """Of each point of ``x`` values (logarithms) that the point ``one`` and it may have together: draws × levels.

        Those of the latter are −∞ where it breaks an SLO or does not work; those of the one are as if it met all.
        """
        values = [value.beside(one, x) for value in self._value.imagined(_SHAPES, rng)]
        margins = [[m.expect(x) for m in margin.imagined(_SHAPES, rng)] for margin in self._margins.values()]
        works = np.exp(np.column_stack([self._works[level].log_probability(x) for level in self._levels]))
        found = []
        for place in range(len(x)):
            pairs = [value.draw(place, _DRAWS_A_SHAPE, rng) for value in values]
            ours, theirs = (np.vstack(side) for side in zip(*pairs, strict=True))
            holds = rng.random(theirs.shape) < works[place]
            for shapes in margins:
                drawn = [m[place] + d[place] * rng.standard_normal((_DRAWS_A_SHAPE, len(d[place]))) for m, d in shapes]
                holds &= np.vstack(drawn) <= 0
            found.append((self._value.undone(ours), np.where(holds, self._value.undone(theirs), -np.inf)))
        return found

    def _log_probability(self, x: Matrix, *, trusting: bool) -> Matrix:
        """That each level works and meets the SLOs."""
        found = np.column_stack([self._works[level].log_probability(x) for level in self._levels])
        for margin in self._margins.values():
            mean, deviation = margin.expect(x, trusting=trusting)
            found = found + log_ndtr(-mean / deviation)
        return found

    def _learn_what_works(self, told: Sequence[Told], points: Matrix) -> None:
        ended = [place for place, one in enumerate(told) if one.kind is OutcomeKind.COMPLETED]
        for level in self._levels:
            working = [any(s.level == level and s.works for s in told[place].last) for place in ended]
            self._works.setdefault(level, Verdict(self._owners)).learn(points[ended], working)

    def _find_bests(self, told: Sequence[Told], points: Matrix, running: Matrix) -> None:
        """Of what was measured and what runs, how probable it is that each is the best that meets the SLOs.

        Where measurements differ from one time to the next, what met an SLO narrowly may be what does not: the best is
        the highest one unless it breaks them, else the next one. Empty while no trial has met them.
        """
        self._bests = []
        if not any(shown.meets for one in told for shown in one.last):
            return
        ended = [place for place, one in enumerate(told) if one.kind is OutcomeKind.COMPLETED]
        known = np.vstack([points[ended], running])
        values = self._value.expect(known)[0].ravel()
        sure = np.exp(self._log_probability(known, trusting=True)).ravel()
        left = 1.0
        for place in np.argsort(-values):
            share = left * float(sure[place])
            left -= share
            if share > _LEAST_SHARE:
                self._bests.append((float(values[place]), share))
            if left < _LEAST_SHARE:
                break


class _AtLevels:
    """One quantity at every level. Levels that were measured of the same trials share a belief, and so a shape."""

    def __init__(self, owners: NDArray[np.intp]) -> None:
        self._owners = owners
        self._beliefs: dict[tuple[int, ...], Belief] = {}
        self._scales: list[_Scale | None] = []  # of each level; None: nothing is known there

    def learn(
        self,
        told: Sequence[Told],
        points: Matrix,
        levels: Sequence[_Level],
        quantity: _Quantity,
        scaled: Callable[[Vector], _Scale],
    ) -> None:
        """``scaled``: from all values, those of stopped trials too, to what brings them to another scale."""
        values, noise = np.full((2, len(told), len(levels)), np.nan)
        self._scales = [
            _fill(values[:, column], noise[:, column], told, level, quantity, scaled)
            for column, level in enumerate(levels)
        ]
        alike: dict[bytes, list[int]] = {}
        for column in range(len(levels)):
            alike.setdefault(np.isfinite(values[:, column]).tobytes(), []).append(column)
        before, self._beliefs = self._beliefs, {}
        for columns in alike.values():
            key = tuple(columns)
            belief = self._beliefs[key] = before.get(key) or Belief(self._owners)
            rows = np.isfinite(values[:, columns[0]])
            belief.learn(points[rows], values[np.ix_(rows, columns)], noise[np.ix_(rows, columns)].mean(1))

    def suppose(self, running: Matrix) -> None:
        for belief in self._beliefs.values():
            belief.suppose(running)

    def expect(self, x: Matrix, *, trusting: bool = True) -> tuple[Matrix, Matrix]:
        """Mean and standard deviation, points × levels."""
        mean, deviation = np.empty((2, len(x), len(self._scales)))
        for columns, belief in self._beliefs.items():
            mean[:, columns], deviation[:, columns] = belief.expect(x, trusting=trusting)
        return mean, deviation

    def imagined(self, count: int, rng: np.random.Generator) -> list[_AtLevels]:
        """The same values by so many other shapes."""
        beliefs = {columns: belief.imagined(count, rng) for columns, belief in self._beliefs.items()}
        found = []
        for number in range(count):
            other = copy(self)
            other._beliefs = {columns: shapes[number] for columns, shapes in beliefs.items()}
            found.append(other)
        return found

    def beside(self, one: Matrix, x: Matrix) -> Beside:
        """What is believed at the point ``one`` and at each of ``x``, together."""
        mean, deviation = self.expect(np.vstack([one, x]))
        correlation = np.empty((len(x), len(self._scales)))
        for columns, belief in self._beliefs.items():
            correlation[:, columns] = belief.correlation(one, x)[:, None]
        return Beside(mean[0], deviation[0], mean[1:], deviation[1:], correlation)

    def undone(self, scaled: Matrix) -> Matrix:
        """Values as they were told, points × levels, of what was brought to another scale by a Warp."""
        scales = self._scales
        columns = [s.undone(c) if isinstance(s, Warp) else c for s, c in zip(scales, scaled.T, strict=True)]
        return np.column_stack(columns)


def _fill(
    values: Vector,
    noise: Vector,
    told: Sequence[Told],
    level: _Level,
    quantity: _Quantity,
    scaled: Callable[[Vector], _Scale],
) -> _Scale | None:
    """The quantity of each trial at a level: as its last rung showed, or a guess where it was stopped early at a part
    of the requests; returns the scale that it was brought to."""
    by_rung = [{rung: _at(shown, level, quantity) for rung, shown in one.shown.items()} for one in told]
    ended = [
        place
        for place, one in enumerate(told)
        if by_rung[place] and (one.kind is not OutcomeKind.PRUNED or _is_in_full(one.last, level))
    ]
    last = {place: value for place in ended if (value := by_rung[place][max(by_rung[place])]) is not None}
    for place, value in last.items():
        values[place], noise[place] = value, 0.0
    for place, one in enumerate(told):
        if one.kind is OutcomeKind.PRUNED and by_rung[place]:
            rung = max(by_rung[place])
            seen = by_rung[place][rung]
            pairs = [(end, then) for other, end in last.items() if (then := by_rung[other].get(rung)) is not None]
            guessed = None if seen is None else guess(seen, pairs)
            if guessed is not None:
                values[place], noise[place] = guessed
    known = np.isfinite(values)
    if not known.any():
        return None
    scale = scaled(values[known])
    values[known] = scale(values[known])
    return scale


def _at(shown: Sequence[Shown], level: _Level, quantity: _Quantity) -> float | None:
    return next((quantity(one) for one in shown if one.level == level), None)


def _is_in_full(shown: Sequence[Shown], level: _Level) -> bool:
    return any(one.in_full for one in shown if one.level == level)


def _warped(ended: Vector) -> _Scale:
    return fit_warp(ended)


def _squeezed(_: Vector) -> _Scale:
    """A margin as it is where it is narrow: how far beyond twice the threshold a value is matters less and less."""
    return np.arcsinh
