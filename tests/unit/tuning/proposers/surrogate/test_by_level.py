"""What the searcher makes of what each load level showed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from autotuner.metrics import LoadKind, LoadLevel
from autotuner.space.config import Config
from autotuner.tuning.proposers import Outcome, OutcomeKind, Shown
from autotuner.tuning.proposers.surrogate.by_level import ByLevel, shows_levels
from autotuner.tuning.proposers.surrogate.encoding import Matrix
from autotuner.tuning.proposers.surrogate.told import Told
from tests.surrogate_parts import searcher

LOW, HIGH = LoadLevel(LoadKind.CONCURRENCY, 1), LoadLevel(LoadKind.CONCURRENCY, 8)
OWNERS = np.array([0])
NOBODY: Matrix = np.zeros((0, 1))


def shown(level: LoadLevel, value: float, margin: float = -1.0, *, works: bool = True) -> Shown:
    return Shown(level, value, {"ttft_p90_ms": margin}, works)


def told(*levels: Shown, kind: OutcomeKind = OutcomeKind.COMPLETED) -> Told:
    return Told(Config({}), kind, (1.0,) if kind is OutcomeKind.COMPLETED else (), shown={0: levels} if levels else {})


def learnt(trials: Sequence[Told], at: Sequence[float], running: Matrix = NOBODY) -> ByLevel:
    worth = ByLevel(OWNERS)
    worth.learn(trials, np.array(at)[:, None], running)
    return worth


def gain(worth: ByLevel, *at: float) -> Sequence[float]:
    return [float(one) for one in worth.log_gain(np.array(at)[:, None], trusting=True)]


AT = [0.0, 0.25, 0.5, 0.75, 1.0]


def test_a_value_that_rises_is_followed_to_where_its_margin_ends() -> None:
    """The value rises, the margin is used up at 0.8, and only the margin tells."""
    worth = learnt([told(shown(HIGH, x, x - 0.8)) for x in (0.0, 0.2, 0.4, 0.5, 1.0)], [0.0, 0.2, 0.4, 0.5, 1.0])
    near, over, far = gain(worth, 0.7, 0.95, 0.1)
    assert near > over + 3
    assert near > far + 3


def test_the_level_that_promises_the_most_counts() -> None:
    """The high level breaks its SLO everywhere; what it would be worth is no gain."""
    trials = [told(shown(LOW, 1 + 0.1 * x), shown(HIGH, 5.0 - x, 3.0)) for x in AT]
    first, last = gain(learnt(trials, AT), -0.25, 1.25)
    assert last > first


def test_while_none_meets_the_slos_the_probability_to_meet_them_leads() -> None:
    trials = [told(shown(HIGH, 9 - x, 2 - x)) for x in AT]
    before, after = gain(learnt(trials, AT), -0.5, 1.5)
    assert after > before + 1


def test_a_level_that_breaks_promises_nothing_where_it_does() -> None:
    trials = [told(shown(LOW, 1.0), *([shown(HIGH, 2.0 + x)] if x < 0.6 else [])) for x in AT]
    working, breaking = gain(learnt(trials, AT), 0.45, 1.1)
    assert working > breaking + 0.5


def test_what_met_an_slo_by_luck_is_not_all_that_others_are_measured_by() -> None:
    """One of five alike was measured on the right side, and is worth more by far than what surely meets the SLOs."""
    at = [0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    trials = [*(told(shown(HIGH, 5.0, margin)) for margin in (0.2, 0.2, -0.1, 0.2, 0.2)), told(shown(HIGH, 1.0))]
    lucky = learnt(trials, at)
    sure = learnt([*(told(shown(HIGH, 5.0, margin - 1)) for margin in (0.2, 0.2, -0.1, 0.2, 0.2)), trials[-1]], at)
    assert gain(lucky, 0.9)[0] > gain(sure, 0.9)[0] + 1


def test_what_runs_promises_no_more() -> None:
    trials = [told(shown(HIGH, x)) for x in AT]
    alone, beside = learnt(trials, AT), learnt(trials, AT, np.array([[1.2]]))
    assert gain(beside, 1.25)[0] < gain(alone, 1.25)[0] - 1


@pytest.mark.parametrize("offset", [0.0, -2.0])
def test_a_stopped_trials_rung_is_moved_by_what_it_was_off_by_in_others(offset: float) -> None:
    ended = [
        Told(Config({}), OutcomeKind.COMPLETED, (x,), shown={0: [shown(HIGH, x + offset)], 1: [shown(HIGH, x)]})
        for x in AT
    ]
    stopped = Told(Config({}), OutcomeKind.PRUNED, shown={0: [shown(HIGH, 3.0 + offset)]})
    worth = learnt([*ended, stopped], [*AT, 2.0])
    assert gain(worth, 2.0)[0] > gain(learnt(ended, AT), 2.0)[0] + 0.5


def test_what_was_stopped_for_being_worse_than_all_that_ended_is_not_taken_for_the_worst_of_these() -> None:
    """All that ended are good; around 2.0 all were stopped, far below."""
    ended = [
        Told(Config({}), OutcomeKind.COMPLETED, (5 + x,), shown={0: [shown(HIGH, 5 + x)], 1: [shown(HIGH, 5 + x)]})
        for x in (0.0, 0.01, 0.02, 0.03)
    ]
    stopped = [Told(Config({}), OutcomeKind.PRUNED, shown={0: [shown(HIGH, 2.0)]}) for _ in range(3)]
    worth = learnt([*ended, *stopped], [0.0, 0.1, 0.2, 0.3, 1.9, 2.0, 2.1])
    assert gain(worth, 2.05)[0] < gain(worth, 0.35)[0] - 20


def test_levels_are_used_where_all_that_ended_show_every_term() -> None:
    assert shows_levels([told(shown(LOW, 1.0)), told(kind=OutcomeKind.INFEASIBLE), told(kind=OutcomeKind.PRUNED)])
    assert not shows_levels([told(shown(LOW, 1.0)), told()])
    assert not shows_levels([told(shown(LOW, 1.0)), told(Shown(LOW, 1.0))])
    assert shows_levels([told(shown(LOW, 1.0)), told(Shown(LOW, 1.0, works=False))])


@pytest.mark.parametrize("seed", range(3))
def test_the_best_right_at_an_slo_is_found(seed: int) -> None:
    """256 Configs; the value rises along both parameters, and the SLO ends it along a slanted line."""

    def outcome(a: int, b: int) -> Outcome:
        value, margin = 7 + 0.1 * a + 0.06 * b, 0.1 * (a + b - 17)
        levels = [shown(LOW, value - 1, -2.0), shown(HIGH, value, margin)]
        number = value if margin <= 0 else value - 1
        return Outcome(OutcomeKind.COMPLETED, (number,), {0: number}, shown={0: levels})

    proposer = searcher({"a": {"int": [0, 15]}, "b": {"int": [0, 15]}}, seed=seed)
    tried = []
    for number in range(20):
        config = proposer.propose(f"{number:04d}")
        assert config is not None
        tried.append((config.values["a"], config.values["b"]))
        proposer.tell(f"{number:04d}", outcome(*tried[-1]))
    assert (15, 2) in tried


def test_a_level_that_was_measured_in_full_counts_as_it_is_though_the_trial_was_stopped() -> None:
    """One trial came to its end: nothing is known of what rungs are off by, and nothing need be."""
    ended = told(shown(HIGH, 1.0))
    stopped = [told(replace(shown(HIGH, value), in_full=True), kind=OutcomeKind.PRUNED) for value in (0.2, 0.1, 0.0)]
    near, far = gain(learnt([ended, *stopped], [0.0, 0.6, 0.8, 1.0]), 0.1, 0.9)
    assert near > far + 1
