"""What the searcher `auto` proposes, told what it is told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from autotuner.space.config import Config
from autotuner.tuning.proposers import Outcome, OutcomeKind
from autotuner.tuning.proposers.surrogate import SurrogateProposer
from tests.surrogate_parts import FAILED, searcher, worth

Values = Mapping[str, Any]
GRID = {"a": {"int": [0, 15]}, "b": {"int": [0, 15]}}  # 256 Configs
LEAST_TO_JUDGE = 11  # of two parameters: five, and three for each
PRUNED = OutcomeKind.PRUNED


def search(proposer: SurrogateProposer, trials: int, outcome: Callable[[Values], Outcome]) -> list[Values]:
    """The Configs of so many trials, one after another."""
    tried = []
    for number in range(trials):
        config = proposer.propose(f"{number:04d}")
        if config is None:
            break
        tried.append(config.values)
        proposer.tell(f"{number:04d}", outcome(config.values))
    return tried


def hill(values: Values) -> float:
    """Logarithmic, as told values are: 10 at the top, (11, 4)."""
    return 10.0 - float(((values["a"] - 11) / 5) ** 2 + ((values["b"] - 4) / 5) ** 2)


@pytest.mark.parametrize("seed", range(5))
def test_the_top_of_a_smooth_hill_is_found_in_a_tenth_of_the_space(seed: int) -> None:
    tried = search(searcher(GRID, seed=seed), 25, lambda v: worth(hill(v)))
    assert {"a": 11, "b": 4} in [dict(values) for values in tried]


def test_less_is_better_for_a_latency() -> None:
    tried = search(searcher(GRID, objective="ttft_p90"), 25, lambda v: worth(-hill(v)))
    assert {"a": 11, "b": 4} in [dict(values) for values in tried]


@pytest.mark.parametrize("seed", range(3))
def test_configs_that_fail_are_learnt(seed: int) -> None:
    """The better the nearer to where a quarter of the space fails."""

    def outcome(values: Values) -> Outcome:
        return FAILED if values["a"] > 11 else worth(5 + 0.2 * values["a"] - 0.02 * abs(values["b"] - 8))

    tried = search(searcher(GRID, seed=seed), 40, outcome)
    failed = [values["a"] > 11 for values in tried]
    assert sum(failed[20:]) <= 4
    assert max(v["a"] for v, f in zip(tried, failed, strict=True) if not f) == 11


def test_configs_that_break_an_slo_are_learnt() -> None:
    """Half of the space breaks it, the better half: the best lies on the edge, in the middle of it."""

    def outcome(values: Values) -> Outcome:
        a, b = values["a"], values["b"]
        if a + b > 15:
            return worth(-1 - math.log1p(a + b - 15), meets_slos=False)
        return worth(5 + 0.1 * (a + b) - 0.05 * abs(a - b))

    broken = 0
    for seed in range(3):
        tried = search(searcher(GRID, seed=seed), 40, outcome)
        assert any(v["a"] + v["b"] == 15 and abs(v["a"] - v["b"]) <= 5 for v in tried)
        broken += sum(v["a"] + v["b"] > 15 for v in tried[20:])
    assert broken < 27, "of 60, of which chance would break 32"


def test_while_no_slo_is_met_the_way_leads_there() -> None:
    """A sixteenth of the space meets them."""

    def outcome(values: Values) -> Outcome:
        over = max(values["a"] - 3, 0) + max(values["b"] - 3, 0)
        return worth(-1 - math.log1p(over), meets_slos=False) if over else worth(6.0)

    tried = search(searcher(GRID, seed=1), 20, outcome)
    assert any(values["a"] <= 3 and values["b"] <= 3 for values in tried)


def test_while_everything_fails_the_space_is_filled() -> None:
    tried = search(searcher(GRID), 16, lambda _: FAILED)
    quarters = {(values["a"] > 7, values["b"] > 7) for values in tried}
    assert len(quarters) == 4


def test_of_two_that_promise_the_same_the_cheaper_is_tried() -> None:
    """Sizes cost by the GPU, and are worth the same. Each is a quarter of the space."""
    space = {"size": [1, 2, 4, 8], "b": {"int": [0, 31]}}

    def tried(cost: float) -> list[int]:
        def outcome(values: Values) -> Outcome:
            return worth(8 - ((values["b"] - 20) / 10) ** 2, gpu_s=values["size"] ** cost)

        return [v["size"] for seed in range(6) for v in search(searcher(space, seed=seed), 15, outcome)[6:]]

    assert sum(tried(1.0)) < 0.7 * sum(tried(0.0))


@pytest.mark.parametrize(("stop", "tried"), [({"improvement": 0.03}, 0), ("off", 1)])
def test_a_dear_one_that_promises_much_is_tried_before_cheap_ones_that_promise_next_to_nothing(
    stop: Any, tried: int
) -> None:
    """Where b is 0 all is alike and known by halves; where it is 1, a million times as dear, it rises to the end."""
    proposer = searcher({"a": {"int": [0, 15]}, "b": [0, 1]}, stop=stop)
    told = [(a, 0, 5.05 + 0.01 * (a % 4), 1.0) for a in range(0, 16, 2)]
    told += [(0, 1, 4.0, 1e6), (5, 1, 4.6, 1e6), (9, 1, 5.1, 1e6)]
    for number, (a, b, value, gpu_s) in enumerate(told):
        proposer.replay(f"{number:04d}", Config({"a": a, "b": b}), worth(value, gpu_s=gpu_s))
    found = proposer.propose("0099")
    assert found is not None
    assert (found.values["b"] == 0) == bool(tried)


def test_the_default_is_learnt_from_and_not_proposed() -> None:
    """It has neither of the two flags, which the server then chooses; and as a Config of the space."""
    proposer = searcher({"a": [None, 1, 2, 3], "b": [None, 1, 2]})
    proposer.replay("0000", Config(), None)
    proposer.tell("0000", worth(5.0))
    tried = search(proposer, 100, lambda v: worth(4.0))
    assert len(tried) == 11
    assert {"a": None, "b": None} not in [dict(values) for values in tried]


def test_sixteen_at_a_time_are_spread_before_anything_is_known() -> None:
    proposer = searcher(GRID)
    asked = [proposer.propose(str(number)) for number in range(16)]
    cells = {(config.values["a"] // 4, config.values["b"] // 4) for config in asked if config is not None}
    assert len(set(asked)) == 16
    assert len(cells) >= 10


def test_eight_at_a_time_differ_and_are_spread() -> None:
    """More than one step apart, though all are asked for on the same knowledge."""
    proposer = searcher(GRID)
    search(proposer, 12, lambda v: worth(hill(v)))
    asked = [proposer.propose(f"later-{number}") for number in range(8)]
    points = [(config.values["a"], config.values["b"]) for config in asked if config is not None]
    assert len(set(points)) == 8
    assert max(math.dist(one, other) for one in points for other in points) > 5


def test_outcomes_may_come_in_any_order_and_some_never() -> None:
    proposer = searcher(GRID)
    asked = {str(number): proposer.propose(str(number)) for number in range(8)}
    for number in ("5", "2", "7", "0"):
        config = asked[number]
        assert config is not None
        proposer.tell(number, worth(hill(config.values)))
    later = [proposer.propose(f"later-{number}") for number in range(4)]
    assert len({*asked.values(), *later}) == 12


def test_the_same_knowledge_leads_to_the_same_proposals() -> None:
    """In a space that is drawn from as well."""
    for space in (GRID, {"x": {"float": [0.0, 1.0]}, "y": {"float": [0.0, 1.0]}}):
        runs = [search(searcher(space, seed=3), 12, lambda v: worth(sum(v.values()))) for _ in range(2)]
        assert runs[0] == runs[1]


def told_of_stopped(rungs: Callable[[float], float]) -> list[Values]:
    """What is tried next once every Config of a line but two ends was stopped at its first rung, at ``rungs`` of what
    it would have come to."""
    proposer = searcher({"a": {"int": [0, 30]}})
    worths = {a: 8 - ((a - 20) / 6) ** 2 for a in range(31)}
    for a in (0, 2, 4, 6, 8, 30):
        proposer.replay(f"ended-{a}", Config({"a": a}), worth(worths[a], by_rung={0: rungs(worths[a]), 1: worths[a]}))
    for a in (12, 15, 18, 21, 24, 27):
        proposer.replay(f"stopped-{a}", Config({"a": a}), Outcome(PRUNED, (), {0: rungs(worths[a])}))
    return search(proposer, 2, lambda v: worth(worths[v["a"]]))


def test_a_rung_that_is_off_by_as_much_for_all_is_corrected() -> None:
    """Cold: every first rung shows a hundredth of the truth. The best is where stopped trials did best."""
    assert next(values["a"] for values in told_of_stopped(lambda value: value - math.log(100))) in (19, 20, 22)


def test_a_rung_that_shows_nothing_is_not_listened_to() -> None:
    """First rungs at random: what was stopped at the worst of them may still be the best."""
    proposer = searcher({"a": {"int": [0, 30]}})
    noise = [3.0, -40.0, 2.0, -9.0, 5.0, -20.0]
    for a, off in zip((0, 2, 4, 6, 8, 10), noise, strict=True):
        proposer.replay(f"ended-{a}", Config({"a": a}), worth(a / 2, by_rung={0: a / 2 + off, 1: a / 2}))
    for a in (20, 22, 24):
        proposer.replay(f"stopped-{a}", Config({"a": a}), Outcome(PRUNED, (), {0: -40.0}))
    first = proposer.propose("next")
    assert first is not None
    assert first.values["a"] > 10


def test_stopped_trials_that_no_ended_one_explains_say_nothing_yet() -> None:
    proposer = searcher(GRID)
    tried = search(proposer, 30, lambda _: Outcome(PRUNED, (), {0: 1.0}))
    assert len({(values["a"], values["b"]) for values in tried}) == 30


# ── what is left to find ──────────────────────────────────────────────────────────────────────


def test_what_is_expected_falls_to_nothing_as_the_top_is_found() -> None:
    proposer = searcher(GRID)
    gains = []
    for number in range(40):
        config = proposer.propose(f"{number:04d}")
        assert config is not None
        proposer.tell(f"{number:04d}", worth(hill(config.values)))
        gains.append(proposer.expected_gain())
    early, late = gains[LEAST_TO_JUDGE], gains[-1]
    assert early is not None
    assert late is not None
    assert early > 0.01 > 0.001 > late


def test_nothing_is_said_before_enough_is_known_or_while_no_slo_is_met() -> None:
    proposer, unmet = searcher(GRID), searcher(GRID)
    for number in range(LEAST_TO_JUDGE + 2):
        for one, meets in ((proposer, True), (unmet, False)):
            config = one.propose(f"{number:04d}")
            assert config is not None
            one.tell(f"{number:04d}", worth(hill(config.values) - (0 if meets else 40), meets_slos=meets))
        assert (proposer.expected_gain() is None) == (number + 1 < LEAST_TO_JUDGE)
        assert unmet.expected_gain() is None


def test_what_was_expected_before_is_told_again_in_another_life() -> None:
    proposer = searcher(GRID)
    told, expected = [], []
    for number in range(LEAST_TO_JUDGE + 4):
        config = proposer.propose(f"{number:04d}")
        assert config is not None
        told.append((config, worth(hill(config.values))))
        proposer.tell(f"{number:04d}", told[-1][1])
        expected.append(proposer.expected_gain())
    resumed = searcher(GRID)
    for number, (config, outcome) in enumerate(told):
        resumed.replay(f"{number:04d}", config, outcome)
    assert [resumed.expected_gain(before) for before in (0, 1, 2)] == pytest.approx(expected[:-4:-1])


def test_what_is_told_anew_takes_the_place_of_what_was_told() -> None:
    """As if the second half had been measured on a machine that was slower."""
    right, wrong = searcher(GRID), searcher(GRID)
    tried = search(right, 8, lambda v: worth(hill(v)))
    for number, values in enumerate(tried):
        wrong.replay(f"{number:04d}", Config(values), worth(hill(values) - 2.0 * (number > 3)))
    assert wrong.expected_gain() is None
    for number, values in enumerate(tried):
        wrong.amend(f"{number:04d}", worth(hill(values)))
    fresh = searcher(GRID)
    for number, values in enumerate(tried):
        fresh.replay(f"{number:04d}", Config(values), worth(hill(values)))
    assert wrong.propose("0008") == fresh.propose("0008")


def test_of_what_says_nothing_nothing_is_told_anew() -> None:
    proposer = searcher(GRID)
    proposer.replay("0000", Config({"a": 1, "b": 1}), Outcome(OutcomeKind.UNKNOWN))
    proposer.amend("0000", worth(1.0))
    assert proposer.propose("0001") is not None
