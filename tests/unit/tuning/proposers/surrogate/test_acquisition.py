"""The logarithm of the expected improvement."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from autotuner.tuning.proposers.surrogate.acquisition import log_expected_improvement


@pytest.mark.parametrize(
    ("mean", "deviation", "best"), [(1.0, 0.5, 0.8), (0.0, 1.0, 1.0), (2.0, 0.3, 5.0), (3, 0.1, 0)]
)
def test_it_is_the_integral(mean: float, deviation: float, best: float) -> None:
    upper = max(best, mean) + 12 * deviation
    expected, _ = quad(lambda f: (f - best) * norm.pdf(f, mean, deviation), best, upper, epsabs=1e-300, points=[mean])
    found = log_expected_improvement(np.array([mean]), np.array([deviation]), best)
    assert found[0] == pytest.approx(math.log(expected), rel=1e-3)


def test_hopeless_candidates_keep_their_order() -> None:
    mean = -np.array([1.0, 1.0001, 5.0, 40.0, 1e3, 1.1e3, 1e5])
    found = log_expected_improvement(mean, np.ones(7), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()


def test_it_joins_without_a_step() -> None:
    for edge in (-1.0, -1e3):
        below, above = log_expected_improvement(np.array([edge - 1e-7, edge + 1e-7]), np.ones(2), 0.0)
        assert below == pytest.approx(above, rel=1e-5)
