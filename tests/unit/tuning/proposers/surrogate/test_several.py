"""Several objectives: weights for each proposal, and what the searcher finds by them."""

from __future__ import annotations

import random
from collections.abc import Iterable

import numpy as np
import pytest

from autotuner.engines import build_space
from autotuner.space.config import Config
from autotuner.tuning.proposers import Outcome, OutcomeKind, Proposer
from autotuner.tuning.proposers.listed import RandomProposer
from autotuner.tuning.proposers.surrogate import SurrogateProposer
from autotuner.tuning.proposers.surrogate.several import drawn_weights, scalarised
from autotuner.tuning.proposers.surrogate.told import Told
from tests.surrogate_parts import study

ASKED = study(
    {"a": {"int": [0, 15]}, "b": {"int": [0, 15]}, "c": [1, 2, 4, 8]}, objective=["throughput", "ttft_p90"], seed=1
)


def ended(*values: float, meets: bool = True) -> Told:
    return Told(Config({}), OutcomeKind.COMPLETED, values, {0: values[0]}, meets)


def worth(told: Iterable[Told], *weights: float) -> list[float | None]:
    return [one.value for one in scalarised(list(told), np.array(weights))]


def test_a_value_is_minus_the_largest_weighted_distance_to_the_best_and_a_little_of_the_sum() -> None:
    """By hand, ranges 10 and 2: (5, 2) is short by 0.5 and 0; (0, 4) by 1 and 0 … in the other order."""
    told = [ended(10, 2), ended(0, 4), ended(5, 3.5)]
    assert worth(told, 0.6, 0.4) == pytest.approx([-0.4 * 1.05, -0.6 * 1.05, -(0.3 + 0.05 * (0.3 + 0.4 * 0.25))])


def test_the_range_is_that_of_what_meets_the_slos() -> None:
    far = ended(-50, -50, meets=False)
    assert worth([ended(10, 2), ended(0, 4), far], 0.6, 0.4)[:2] == worth([ended(10, 2), ended(0, 4)], 0.6, 0.4)
    assert worth([far, ended(-60, -40, meets=False)], 1.0, 0.0) == pytest.approx([0.0, -1.05])


def test_of_two_that_are_equal_in_what_weighs_the_most_the_better_in_the_other_is_better() -> None:
    better, worse = worth([ended(0, 3), ended(0, 2), ended(10, 0), ended(5, 4)], 0.9, 0.1)[:2]
    assert better is not None
    assert worse is not None
    assert better > worse


def test_rungs_are_worth_what_the_same_values_would_be_at_the_end() -> None:
    both = [ended(10, 2), ended(0, 4)]
    stopped = Told(Config({}), OutcomeKind.PRUNED, by_rung={0: 3.0, 1: 5.0}, all_by_rung={0: (3, 2), 1: (5, 3.5)})
    told = scalarised([*both, stopped], np.array([0.6, 0.4]))[-1]
    assert [told.by_rung[0]] == worth([ended(3, 2), *both], 0.6, 0.4)[:1]
    assert [told.by_rung[1]] == worth([ended(5, 3.5), *both], 0.6, 0.4)[:1]
    assert told.value is None


def test_what_stopped_trials_showed_is_learnt_from() -> None:
    """Half of the space is poor in both objectives, which a trial that is stopped at once shows."""

    def share_in_poor_half(*, shown: bool) -> float:
        proposer, poor, asked = SurrogateProposer(build_space(ASKED), ASKED), 0, 40
        for number in range(asked):
            config = proposer.propose(f"{number:04d}")
            assert config is not None
            a, b = config.values["a"], config.values["b"]
            values = (20.0 + b, 40.0 + b) if a < 8 else (10.0 - a / 8, 60.0 + a / 8)
            rungs = {0: values}
            if a < 8:
                told = Outcome(OutcomeKind.COMPLETED, values, {0: values[0]}, all_by_rung=rungs)
            else:
                told = Outcome(OutcomeKind.PRUNED, (), {0: values[0]}, all_by_rung=rungs if shown else {})
                poor += number >= 10
            proposer.tell(f"{number:04d}", told)
        return poor / (asked - 10)

    assert share_in_poor_half(shown=True) < 0.15 < share_in_poor_half(shown=False)


def test_what_failed_or_was_stopped_has_no_value_and_rungs_are_not_mixed_with_it() -> None:
    told = [
        ended(1, 1),
        Told(Config({}), OutcomeKind.PRUNED, by_rung={0: 3.0}),
        Told(Config({}), OutcomeKind.INFEASIBLE),
    ]
    found = scalarised(told, np.array([0.5, 0.5]))
    assert [one.value is None for one in found] == [False, True, True]
    assert not any(one.by_rung for one in found)
    assert worth([Told(Config({}), OutcomeKind.INFEASIBLE)], 0.5, 0.5) == [None]


def test_weights_sum_to_one_and_differ_from_one_proposal_to_the_next() -> None:
    rng = random.Random(0)
    drawn = np.array([drawn_weights(3, rng) for _ in range(2000)])
    assert drawn.sum(1) == pytest.approx(np.ones(2000))
    assert drawn.mean(0) == pytest.approx(np.full(3, 1 / 3), abs=0.02)
    assert drawn.max() > 0.95, "corners of the front as well"


# ── the searcher ──────────────────────────────────────────────────────────────────────────────


def measured(config: Config) -> tuple[float, float]:
    """Rate, latency as they are told: more batches well and waits longer; b and c have a best of their own."""
    a, b, c = (config.values[name] for name in "abc")
    lost = ((b - 9) / 8) ** 2 + 0.3 * abs(np.log2(c) - 1)
    return 7 + 0.1 * a - lost, -(9 - 0.008 * a**2 - lost)


def hypervolume(points: Iterable[tuple[float, float]]) -> float:
    """Above the rate 5 and below the latency −4."""
    found, height = 0.0, -4.0
    for rate, latency in sorted(points, reverse=True):
        if rate > 5 and latency < height:
            found += (rate - 5) * (height - latency)
            height = latency
    return found


def volume_found(proposer: Proposer, trials: int) -> float:
    points = []
    for number in range(trials):
        config = proposer.propose(f"{number:04d}")
        assert config is not None
        points.append(measured(config))
        proposer.tell(f"{number:04d}", Outcome(OutcomeKind.COMPLETED, points[-1], {0: points[-1][0]}))
    return hypervolume(points)


def test_the_front_is_found_sooner_than_by_chance() -> None:
    """With 25 of 1,024 Configs, more than the luckiest of ten random searches."""
    space = build_space(ASKED)
    by_chance = max(volume_found(RandomProposer(space, seed), 25) for seed in range(10))
    whole = hypervolume(measured(config) for config in space.grid())
    found = volume_found(SurrogateProposer(space, ASKED), 25)
    assert by_chance < found
    assert found > 0.95 * whole


def test_nothing_is_said_of_what_is_left_to_find() -> None:
    proposer = SurrogateProposer(build_space(ASKED), ASKED)
    volume_found(proposer, 12)
    assert proposer.expected_gain() is None
