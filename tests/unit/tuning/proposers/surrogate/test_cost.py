"""What a trial of any Config is expected to cost."""

from __future__ import annotations

import numpy as np
import pytest

from autotuner.space.config import Config
from autotuner.tuning.proposers.proposer import OutcomeKind
from autotuner.tuning.proposers.surrogate.cost import Cost
from autotuner.tuning.proposers.surrogate.told import Told

OWNERS = np.array([0, 1])
SIZES = np.linspace(0, 1, 6)


def told(gpu_s: float, start_gpu_s: float, kind: OutcomeKind = OutcomeKind.COMPLETED) -> Told:
    return Told(Config(), kind, gpu_s=gpu_s, start_gpu_s=start_gpu_s)


def expected(trials: list[tuple[float, float, Told]], *at: tuple[float, float]) -> list[float]:
    """Seconds; of each trial its point comes first."""
    cost = Cost(OWNERS)
    cost.learn([trial for *_, trial in trials], np.array([point for *point, _ in trials]).reshape(-1, 2))
    return [float(s) for s in np.exp(cost.expect(np.array(at)))]


def test_start_up_and_the_rest_add_up() -> None:
    """Along one parameter servers start slower, along the other they measure slower."""
    grid = [(a, b) for a in SIZES[::5] for b in SIZES[::5]] + [(0.5, 0.5)]
    trials = [(a, b, told(100 ** (1 + a) + 10 ** (1 + b), 100 ** (1 + a))) for a, b in grid]
    slow_start, slow_rest = expected(trials, (1.0, 0.0), (0.0, 1.0))
    assert slow_start == pytest.approx(10_010, rel=0.1)
    assert slow_rest == pytest.approx(200, rel=0.1)


def test_a_trial_that_was_stopped_early_tells_of_its_start_up_alone() -> None:
    done = [(0.0, b, told(110.0, 100.0)) for b in SIZES]
    stopped = [(1.0, b, told(0.0, 900.0, OutcomeKind.PRUNED)) for b in SIZES]
    before, after = expected(done, (1.0, 0.5))[0], expected([*done, *stopped], (1.0, 0.5))[0]
    assert before < 200
    assert after == pytest.approx(910, rel=0.1)


def test_without_start_ups_there_is_the_rest_alone() -> None:
    assert expected([(a, 0.0, told(50.0, 0.0)) for a in SIZES], (0.3, 0.0)) == pytest.approx([50.0])


def test_all_cost_the_same_before_any_is_known() -> None:
    refused = (0.5, 0.5, told(0.0, 0.0, OutcomeKind.INFEASIBLE))
    assert expected([refused], (0.0, 0.0), (1.0, 1.0)) == [1.0, 1.0]
    assert expected([], (0.0, 0.0)) == [1.0]
