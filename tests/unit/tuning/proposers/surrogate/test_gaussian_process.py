"""What a Gaussian process makes of the values that it saw."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from autotuner.tuning.proposers.surrogate import gaussian_process
from autotuner.tuning.proposers.surrogate.belief import Belief
from autotuner.tuning.proposers.surrogate.gaussian_process import Posterior, Shape, fit_shape, likely_shape, prior_shape

OWNERS = np.array([0, 1])
SHAPE = Shape(np.array([0.5, 2.0]), 1e-6)


def points(count: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.random.default_rng(seed).random((count, 2))


def test_it_goes_through_what_it_saw_and_doubts_what_is_far() -> None:
    x, y = points(10), np.sin(6 * points(10)[:, 0])
    known = Posterior(x, y, np.zeros(10), OWNERS, SHAPE)
    mean, deviation = known.predict(x)
    assert mean == pytest.approx(y, abs=1e-3)
    assert deviation.max() < 0.01
    mean, deviation = known.predict(np.array([[50.0, 50.0]]))
    assert mean[0] == pytest.approx(0.0, abs=1e-6)
    assert deviation[0] == pytest.approx(1.0)


def test_one_value_tells_as_much_as_covariance_and_noise_say() -> None:
    """By hand: Matérn 5/2 at the distance 1 is (1 + √5 + 5/3) e^−√5; the noise takes half."""
    known = Posterior(np.array([[0.0, 0.0]]), np.array([3.0]), np.array([0.75]), OWNERS, Shape(np.ones(2), 0.25))
    shared = (1 + 5**0.5 + 5 / 3) * np.exp(-(5**0.5))
    mean, deviation = known.predict(np.array([[1.0, 0.0]]))
    assert mean[0] == pytest.approx(shared * 3.0 / 2)
    assert deviation[0] == pytest.approx((1 - shared**2 / 2) ** 0.5)


def test_many_points_are_told_as_each_alone() -> None:
    """They are taken in pieces."""
    known = Posterior(points(5), np.arange(5.0), np.zeros(5), OWNERS, SHAPE)
    many = points(20_000, 1)
    mean, deviation = known.predict(many)
    one, own = known.predict(many[[9_999]])
    assert (mean[9_999], deviation[9_999]) == (pytest.approx(one[0]), pytest.approx(own[0]))


def test_the_gradient_is_that_of_the_posterior() -> None:
    x = points(12)
    apart = np.stack([(x[:, [p]] - x[:, p]) ** 2 for p in (0, 1)])
    y, noise = np.cos(5 * x[:, 0]) + x[:, 1], np.full(12, 0.01)
    at = np.log([0.4, 1.3, 0.05])

    def value(theta: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
        return gaussian_process._negative_log_posterior(theta, apart, y, noise, 1.0)[0]

    gradient = gaussian_process._negative_log_posterior(at, apart, y, noise, 1.0)[1]
    assert gradient == pytest.approx(approx_fprime(at, value, 1e-6), abs=1e-3)


def test_a_parameter_that_matters_gets_the_shorter_length() -> None:
    x = points(40)
    y = np.sin(8 * x[:, 0])
    found = fit_shape(x, (y - y.mean()) / y.std(), np.zeros(40), OWNERS, [prior_shape(2)])
    assert found.lengths[0] < 0.5 * found.lengths[1]
    assert found.noise < 0.01


def test_noise_is_found_where_equal_points_differ() -> None:
    x = np.repeat(points(15), 3, axis=0)
    y = np.random.default_rng(1).normal(size=45)
    assert fit_shape(x, (y - y.mean()) / y.std(), np.zeros(45), OWNERS, [prior_shape(2)]).noise > 0.3


def test_what_runs_leaves_the_expectation_and_takes_the_doubt_about_it() -> None:
    belief = Belief(OWNERS)
    belief.learn(points(8), 5 + points(8)[:, 0])
    elsewhere = np.array([[2.0, 2.0], [2.1, 2.0], [-1.0, -1.0]])
    before, doubt = belief.expect(elsewhere)
    belief.suppose(elsewhere[:1])
    after, less = belief.expect(elsewhere)
    assert after == pytest.approx(before, abs=1e-6)
    assert less[0] < 0.2 * doubt[0]
    assert less[1] < 0.5 * doubt[1]
    assert less[2] == pytest.approx(doubt[2], rel=0.05)


def test_two_values_that_are_alike_are_no_proof_that_all_are() -> None:
    belief = Belief(OWNERS)
    belief.learn(points(2), np.array([3.0, 3.001]))
    _, doubt = belief.expect(np.array([[40.0, 40.0]]))
    assert doubt[0] > 0.1


def test_distrust_leaves_more_doubt_along_what_seemed_not_to_matter() -> None:
    x = np.column_stack([np.linspace(0, 1, 12), np.full(12, 0.5)])
    x[::2, 1] = 0.6
    belief = Belief(OWNERS)
    belief.learn(x, x[:, 0])
    aside = np.array([[0.5, 1.0]])
    assert belief.expect(aside, trusting=False)[1][0] > 2 * belief.expect(aside)[1][0]
    assert belief.expect(x, trusting=False)[0] == pytest.approx(belief.expect(x)[0], abs=0.05)


def test_a_value_of_its_own_noise_is_listened_to_less() -> None:
    x = np.array([[0.2, 0.2], [0.8, 0.8]])
    at = np.array([[0.8, 0.8]])
    trusting, doubting = Belief(OWNERS), Belief(OWNERS)
    trusting.learn(x, np.array([0.0, 1.0]), np.zeros(2))
    doubting.learn(x, np.array([0.0, 1.0]), np.array([0.0, 4.0]))
    assert trusting.expect(at)[0][0] > doubting.expect(at)[0][0] + 0.2
    assert trusting.expect(at)[1][0] < doubting.expect(at)[1][0]


def test_the_correlation_of_two_points_is_that_of_what_is_left_unknown() -> None:
    """By hand, of one value at 0 and no noise: of points at 1 and 2 on a line with Matérn's k, k(1) − k(1) k(2)."""

    def k(distance: float) -> float:
        far = 5**0.5 * distance
        return float((1 + far + far**2 / 3) * np.exp(-far))

    known = Posterior(np.zeros((1, 2)), np.array([3.0]), np.zeros(1), OWNERS, Shape(np.ones(2), 1e-12))
    one, x = np.array([[1.0, 0.0]]), np.array([[2.0, 0.0], [1.0, 0.0], [90.0, 0.0]])
    near, same, far = known.correlation(one, x)
    left = [(1 - k(at) ** 2) ** 0.5 for at in (1, 2)]
    assert near == pytest.approx((k(1) - k(1) * k(2)) / (left[0] * left[1]))
    assert (same, far) == (pytest.approx(1), pytest.approx(0, abs=1e-6))


def spread_of_lengths(values: int) -> tuple[float, float]:
    """The standard deviations of the logarithms of two lengths, of a function of the first parameter alone."""
    x = points(values)
    y = np.sin(6 * x[:, 0])
    y = (y - y.mean()) / y.std()
    found = fit_shape(x, y, np.zeros(values), OWNERS, [prior_shape(2)])
    draw = likely_shape(x, y, np.zeros(values), OWNERS, found, np.random.default_rng(0))
    drawn = np.log([draw().lengths for _ in range(400)])
    assert drawn.mean(0) == pytest.approx(np.log(found.lengths), abs=0.6)
    first, second = drawn.std(0)
    return float(first), float(second)


def test_likely_shapes_differ_less_the_more_is_known_and_are_bounded_where_nothing_is() -> None:
    few, _ = spread_of_lengths(4)
    many, idle = spread_of_lengths(40)
    widest = 2 * 3**0.5 * 1.1
    assert many < few < widest
    assert many < 0.6
    assert many < idle < widest, "of what has no part the data say little but that it is long"
