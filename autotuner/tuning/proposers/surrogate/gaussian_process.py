"""A Gaussian process: what is known of a function from some of its values, with its doubt."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from autotuner.tuning.proposers.surrogate.encoding import Matrix, Vector

_ROOT_5 = math.sqrt(5.0)
_ROWS_AT_A_TIME = 8192
_ITERATIONS = 50

# Hvarfner, Hellsten, Nardi: "Vanilla Bayesian Optimization Performs Great in High Dimensions" (ICML 2024), eq. 6:
# lengths are log-normal, and grow with the root of the number of parameters, so that many parameters don't make every
# point a stranger to every other. The prior of the noise is the one that BoTorch pairs with it.
_LENGTH_SPREAD = math.sqrt(3.0)
_NOISE_LOCATION, _NOISE_SPREAD = -4.0, 1.0
_LEAST_NOISE = 1e-6
_WIDER = 2.0  # times: the curvature at the top knows nothing of other hills, nor of how slowly this one falls off
_STEP = 1e-3  # of a logarithm, over which a curvature is measured


@dataclass(frozen=True)
class Shape:
    """How quickly a function of variance 1 changes along each parameter (``lengths``), and the variance of a
    measurement's noise."""

    lengths: Vector
    noise: float


def prior_shape(parameters: int) -> Shape:
    """The mode of the prior, for a function of which nothing is known."""
    length = math.exp(_length_location(parameters) - _LENGTH_SPREAD**2)
    return Shape(np.full(parameters, length), math.exp(_NOISE_LOCATION - _NOISE_SPREAD**2))


def fit_shape(x: Matrix, y: Vector, noise: Vector, owners: NDArray[np.intp], starts: list[Shape]) -> Shape:
    """The most probable shape after the values ``y``, of mean 0 and variance 1, were seen at the points ``x``.

    ``y`` may have columns: functions of one shape, each with values of its own, which then count alike.
    ``noise``: what each value is uncertain by beyond the noise of all, a variance. ``owners``: the parameter of each
    column. The best of what L-BFGS finds from ``starts``.
    """
    apart = _squared_distances(x, owners)
    location = _length_location(len(apart))

    def cost(theta: Vector) -> tuple[float, Vector]:
        return _negative_log_posterior(theta, apart, y, noise, location)

    bounds = _bounds(len(apart))
    found = []
    with threadpool_limits(1, "blas"):  # of some dozens of rows: threads wait for one another longer than they compute
        for start in starts:
            first = np.log([*start.lengths, start.noise])
            options = {"maxiter": _ITERATIONS}
            found.append(minimize(cost, first, jac=True, method="L-BFGS-B", bounds=bounds, options=options))
    theta = np.exp(min(found, key=lambda result: float(result.fun)).x)
    return Shape(theta[:-1], float(theta[-1]))


def likely_shape(
    x: Matrix, y: Vector, noise: Vector, owners: NDArray[np.intp], found: Shape, rng: np.random.Generator
) -> Callable[[], Shape]:
    """What draws a shape of those that are as probable as the one that ``fit_shape`` found is: Laplace's approximation
    (MacKay, Information Theory, Inference, and Learning Algorithms, 2003, chapter 27), a normal about the most
    probable one by the curvature there, which is taken to be no less than the prior's; then made ``_WIDER``.
    """
    apart = _squared_distances(x, owners)
    location = _length_location(len(apart))
    top = np.log([*found.lengths, found.noise])
    slopes = []
    for step in _STEP * np.eye(len(top)):
        above, below = (_negative_log_posterior(top + s, apart, y, noise, location)[1] for s in (step, -step))
        slopes.append((above - below) / (2 * _STEP))
    spreads = np.append(np.full(len(top) - 1, _LENGTH_SPREAD), _NOISE_SPREAD)
    curvature = np.array(slopes) * np.outer(spreads, spreads)  # in units of the prior's: 1 where nothing is learnt
    values, axes = np.linalg.eigh((curvature + curvature.T) / 2)
    root = _WIDER * spreads[:, None] * axes / np.sqrt(np.maximum(values, 1.0))

    def draw() -> Shape:
        theta = np.exp(np.clip(top + root @ rng.standard_normal(len(top)), *np.array(_bounds(len(apart))).T))
        return Shape(theta[:-1], float(theta[-1]))

    return draw


class Posterior:
    """Functions of mean 0 and variance 1, one a column of ``y``, after these values were seen at the points ``x``."""

    def __init__(self, x: Matrix, y: Vector, noise: Vector, owners: NDArray[np.intp], shape: Shape) -> None:
        self._scale = shape.lengths[owners]
        self._x = x / self._scale
        covariance = _matern(_squared(self._x, self._x))
        covariance[np.diag_indices_from(covariance)] += shape.noise + noise
        self._lower = cholesky(covariance, lower=True)
        self._weights = cho_solve((self._lower, True), y)

    def predict(self, x: Matrix) -> tuple[Vector, Vector]:
        """Mean and standard deviation at each point, of the function itself and not of a noisy measurement.

        The deviation is that of every column.
        """
        mean, deviation = np.empty((len(x), *self._weights.shape[1:])), np.empty(len(x))
        for start in range(0, len(x), _ROWS_AT_A_TIME):
            rows = slice(start, start + _ROWS_AT_A_TIME)
            shared = _matern(_squared(x[rows] / self._scale, self._x))
            mean[rows] = shared @ self._weights
            known = solve_triangular(self._lower, shared.T, lower=True, check_finite=False, overwrite_b=True)
            deviation[rows] = np.sqrt(np.maximum(1.0 - np.einsum("ij,ij->j", known, known), 1e-12))
        return mean, deviation

    def correlation(self, one: Matrix, x: Matrix) -> Vector:
        """Of what the function is at the point ``one`` (a row) with what it is at each of ``x``, by what is known."""
        points = np.vstack([one, x]) / self._scale
        known = solve_triangular(self._lower, _matern(_squared(points, self._x)).T, lower=True, check_finite=False)
        left = np.sqrt(np.maximum(1.0 - np.einsum("ij,ij->j", known, known), 1e-12))
        shared = _matern(_squared(points[:1], points[1:]))[0] - known[:, 0] @ known[:, 1:]
        found: Vector = np.clip(shared / (left[0] * left[1:]), -1.0, 1.0)
        return found


def _bounds(parameters: int) -> list[tuple[float, float]]:
    """Of the logarithms of lengths and noise."""
    return [(math.log(0.01), math.log(1e3))] * parameters + [(math.log(_LEAST_NOISE), math.log(2.0))]


def _length_location(parameters: int) -> float:
    return math.sqrt(2.0) + math.log(max(parameters, 1)) / 2


def _negative_log_posterior(
    theta: Vector, apart: Matrix, y: Vector, noise: Vector, location: float
) -> tuple[float, Vector]:
    """And its gradient, by the logarithms of lengths and noise (Rasmussen and Williams, 2006, eq. 5.8 and 5.9)."""
    weights = np.exp(-2 * theta[:-1])
    distance = np.sqrt(np.tensordot(weights, apart, 1))
    covariance = _matern(distance**2)
    covariance[np.diag_indices_from(covariance)] += math.exp(theta[-1]) + noise
    lower = cholesky(covariance, lower=True, check_finite=False)
    solved = cho_solve((lower, True), y, check_finite=False)
    inverse = cho_solve((lower, True), np.eye(len(y)), check_finite=False)
    columns = y.size // len(y)
    pull = columns * inverse - solved.reshape(len(y), -1) @ solved.reshape(len(y), -1).T
    slope = 5 / 3 * (1 + _ROOT_5 * distance) * np.exp(-_ROOT_5 * distance)
    by_length = 0.5 * weights * np.tensordot(apart, pull * slope, 2)
    by_noise = 0.5 * math.exp(theta[-1]) * float(np.trace(pull))
    places = np.append(np.full(len(theta) - 1, location), _NOISE_LOCATION)
    spreads = np.append(np.full(len(theta) - 1, _LENGTH_SPREAD), _NOISE_SPREAD)
    off = (theta - places) / spreads
    fit = 0.5 * float((y * solved).sum()) + columns * float(np.log(np.diag(lower)).sum())
    return fit + float((off**2 / 2 + theta).sum()), np.append(by_length, by_noise) + off / spreads + 1


def _squared_distances(x: Matrix, owners: NDArray[np.intp]) -> Matrix:
    """Parameters × points × points."""
    parameters = int(owners.max(initial=-1)) + 1
    return np.stack([_squared(x[:, owners == p], x[:, owners == p]) for p in range(parameters)])


def _squared(a: Matrix, b: Matrix) -> Matrix:
    """The squared distance of each row of one to each of the other."""
    squared: Matrix = (a**2).sum(1)[:, None] + (b**2).sum(1)[None, :] - 2 * a @ b.T
    return np.maximum(squared, 0.0)


def _matern(squared: Matrix) -> Matrix:
    """Matérn's covariance of smoothness 5/2: twice differentiable, as Snoek et al. (NeurIPS 2012) advise for tuning."""
    distance = _ROOT_5 * np.sqrt(squared)
    covariance: Matrix = (1 + distance + distance**2 / 3) * np.exp(-distance)
    return covariance
