"""Belief: what is thought of a quantity of every Config, after some were measured."""

from __future__ import annotations

from copy import copy

import numpy as np
from numpy.typing import NDArray

from autotuner.tuning.proposers.surrogate.encoding import Matrix, Vector
from autotuner.tuning.proposers.surrogate.gaussian_process import Posterior, Shape, fit_shape, likely_shape, prior_shape

_ALWAYS_FITTED_TO = 30  # values; a shape found from more changes little with each
_GROWTH = 1.1
# Of logarithms: before two values are known, Configs are thought to differ by a third. It counts as one more value, so
# that two that happen to be alike are not taken for proof that all are.
_USUAL_SPREAD = 0.3


class Belief:
    """A Gaussian process that scales what it is told, and finds its shape from it.

    While few values are known it follows from these alone, by whatever steps they came: a study that goes on after its
    process died is of the same opinion as before.

    Values may have columns, as one for each load level: quantities that change as quickly along each parameter, and
    that were measured of the same Configs. Together they tell their shape from fewer trials.
    """

    def __init__(self, owners: NDArray[np.intp]) -> None:
        self._owners = owners
        self._prior = prior_shape(int(owners.max(initial=-1)) + 1)
        self._shape = self._prior
        self._fitted_to = 0
        self._x: Matrix = np.zeros((0, len(owners)))
        self._y: Vector = np.zeros(0)
        self._noise: Vector = np.zeros(0)
        self._centre, self._spread = np.zeros(()), np.ones(())
        self._posterior: Posterior | None = None

    def learn(self, x: Matrix, y: Vector, noise: Vector | None = None) -> None:
        """The values that are known, in place of all before; ``noise``: the variance that each has of its own."""
        self._centre = np.asarray(y.mean(0)) if len(y) else np.zeros(y.shape[1:])
        apart = y - self._centre
        self._spread = np.sqrt(((apart**2).sum(0) + _USUAL_SPREAD**2) / (len(y) + 1))
        self._x, self._y = x, apart / self._spread
        self._noise = np.zeros(len(y)) if noise is None else noise / float(np.mean(self._spread**2))
        if apart.any() and (len(y) <= _ALWAYS_FITTED_TO or len(y) >= self._fitted_to * _GROWTH):
            self._shape = fit_shape(self._x, self._y, self._noise, self._owners, [self._prior])
            self._fitted_to = len(y)
        self._condition()

    def suppose(self, x: Matrix) -> None:
        """Takes it that what runs at ``x`` will turn out as expected, so that its neighbours promise less.

        The believer of Ginsbourger, Le Riche and Carraro: "Kriging is well-suited to parallelize optimization", 2010.
        """
        if len(x):
            mean = (self.expect(x)[0] - self._centre) / self._spread
            self._x, self._y = np.vstack([self._x, x]), np.concatenate([self._y, mean])
            self._noise = np.concatenate([self._noise, np.zeros(len(x))])
            self._condition()

    def expect(self, x: Matrix, *, trusting: bool = True) -> tuple[Vector, Vector]:
        """Mean and standard deviation at each point; by the prior's shape, not the one found, unless ``trusting``."""
        posterior = self._posterior if trusting else self._posterior_of(self._prior)
        if posterior is None:
            return np.zeros((len(x), *self._centre.shape)) + self._centre, np.multiply.outer(
                np.ones(len(x)), self._spread
            )
        mean, deviation = posterior.predict(x)
        return self._centre + self._spread * mean, np.multiply.outer(deviation, self._spread)

    def imagined(self, count: int, rng: np.random.Generator) -> list[Belief]:
        """The same values by so many other shapes, drawn of those that are likely: what is not known of the shape."""
        if not len(self._x):
            return [self] * count
        draw = likely_shape(self._x, self._y, self._noise, self._owners, self._shape, rng)
        found = []
        for _ in range(count):
            other = copy(self)
            other._shape = draw()
            other._condition()
            found.append(other)
        return found

    def correlation(self, one: Matrix, x: Matrix) -> Vector:
        """Of what is believed at the point ``one`` (a row) with what is at each of ``x``; that of every column."""
        return np.zeros(len(x)) if self._posterior is None else self._posterior.correlation(one, x)

    def _condition(self) -> None:
        self._posterior = self._posterior_of(self._shape)

    def _posterior_of(self, shape: Shape) -> Posterior | None:
        return Posterior(self._x, self._y, self._noise, self._owners, shape) if len(self._x) else None
