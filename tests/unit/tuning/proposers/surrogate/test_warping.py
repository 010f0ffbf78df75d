"""What of told values counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotuner.tuning.proposers.surrogate.warping import fit_warp

VALUES = st.lists(st.floats(-80, 80, allow_nan=False).map(lambda v: round(v, 3)), min_size=1, max_size=30)


@given(VALUES)
def test_the_order_stays_and_the_better_half_too(values: list[float]) -> None:
    told = np.array(values)
    warped = fit_warp(told)(told)
    assert np.isfinite(warped).all()
    order = np.argsort(told)
    assert (np.diff(warped[order]) >= 0).all()
    kept = told >= np.median(told)
    assert warped[kept] == pytest.approx(told[kept])


def test_a_value_that_is_far_worse_is_only_the_worst() -> None:
    near, far = np.array([1.0, 4.8, 4.9, 5.0, 5.1, 5.2]), np.array([-70.0, 4.8, 4.9, 5.0, 5.1, 5.2])
    assert fit_warp(near)(near) == pytest.approx(fit_warp(far)(far))
    assert fit_warp(far)(far)[0] > 4.0


def test_values_that_were_not_told_lie_between_their_neighbours() -> None:
    warp = fit_warp(np.array([1.0, 2.0, 5.0, 6.0, 7.0]))
    below, between, above = warp(np.array([0.0, 5.5, 9.0]))
    assert below == warp(np.array([1.0]))[0]
    assert (between, above) == (pytest.approx(5.5), pytest.approx(9.0))


@given(VALUES)
def test_what_is_undone_is_what_was_told(values: list[float]) -> None:
    told = np.array(values)
    warp = fit_warp(told)
    assert warp.undone(warp(told)) == pytest.approx(told, abs=1e-6)


def test_beyond_what_was_told_a_step_is_a_step() -> None:
    warp = fit_warp(np.array([1.0, 2.0, 5.0, 6.0, 7.0]))
    lowest = float(warp(np.array([1.0]))[0])
    assert warp.undone(np.array([lowest - 0.5, 9.0])) == pytest.approx([0.5, 9.0])
