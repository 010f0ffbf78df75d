from __future__ import annotations

import pytest

from autotuner.tuning.decisions.budget import Budget, Spent
from tests.tuning_parts import study


@pytest.mark.parametrize(
    ("spent", "keep", "told"),
    [
        (Spent(0, 0), None, ""),
        (Spent(99.9, 999), None, ""),
        (Spent(100, 0), None, "wall_clock_h"),
        (Spent(0, 1000), None, "gpu_hours"),
        (Spent(100, 1000), None, "wall_clock_h"),
        (Spent(60, 0), Spent(39.9, 999), ""),
        (Spent(60, 0), Spent(40, 0), "wall_clock_h"),
        (Spent(0, 600), Spent(0, 400), "gpu_hours"),
    ],
)
def test_the_first_limit_reached_is_told(spent: Spent, keep: Spent | None, told: str) -> None:
    budget = Budget(wall_s=100, gpu_s=1000)
    assert budget.what_is_spent(spent, keep) == told
    assert budget.is_spent(spent, keep) is bool(told)


def test_no_limits_are_never_reached() -> None:
    assert not Budget().is_spent(Spent(1e12, 1e12))


def test_hours_become_seconds() -> None:
    assert Budget.of(study(budget={"gpu_hours": 2, "wall_clock_h": 0.5})) == Budget(wall_s=1800, gpu_s=7200)
    assert Budget.of(study()) == Budget()
