"""How much better the searcher believes one Config to be than another, and how often that is so."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any

import pytest

from autotuner.metrics import LoadKind, LoadLevel
from autotuner.space.config import Config
from autotuner.tuning.proposers import Comparing, GainBelief, Outcome, OutcomeKind, Shown
from autotuner.tuning.proposers.surrogate import SurrogateProposer
from tests.surrogate_parts import FAILED, searcher, worth

LOW, HIGH = LoadLevel(LoadKind.CONCURRENCY, 1), LoadLevel(LoadKind.CONCURRENCY, 8)
PARAMETERS: dict[str, Any] = {
    "batch": [1, 2, 4, 8, 16],
    "share": [0.1, 0.2, 0.3, 0.4],
    "cache": [True, False],
    "kind": ["a", "b", "c"],
}
DEFAULT = Config({"batch": 1, "share": 0.1, "cache": False, "kind": "a"})


def truth(config: Mapping[str, Any], scale: Mapping[str, float]) -> dict[LoadLevel, tuple[float, float]]:
    """By level the logarithm of the value and the margin of an SLO: a larger batch is worth more and costs margin."""
    batch, share = math.log2(config["batch"]) / 4, config["share"]
    good = scale["batch"] * batch * (0.5 + share) + scale["cache"] * config["cache"] + scale[config["kind"]]
    return {LOW: (good - 1, 0.3 * batch - 0.6), HIGH: (good, 0.8 * batch + share - 0.8)}


def shown(levels: Mapping[LoadLevel, tuple[float, float]], noise: float, chance: random.Random) -> tuple[Shown, ...]:
    return tuple(
        Shown(level, good + chance.gauss(0, noise), {"ttft_p90_ms": margin + chance.gauss(0, noise)})
        for level, (good, margin) in levels.items()
    )


def completed(levels: tuple[Shown, ...]) -> Outcome:
    meets = any(one.meets for one in levels)
    value = max((one.value for one in levels if one.meets and one.value is not None), default=-1.0)
    return Outcome(OutcomeKind.COMPLETED, (value,), {}, 0.0, meets, 10.0, {0: levels})


def searched(seed: int, noise: float, trials: int = 20) -> tuple[SurrogateProposer, Config, dict[str, float]]:
    """A searcher after so many trials of a surface drawn by the seed, and the best Config that it was told of."""
    chance = random.Random(seed)
    scale = {"batch": chance.uniform(0.5, 2), "cache": chance.uniform(-0.1, 0.3)}
    scale |= {kind: chance.uniform(0, 0.3) for kind in "abc"}
    auto = searcher(PARAMETERS, seed=seed)
    auto.replay("0000", DEFAULT, completed(shown(truth(DEFAULT.values, scale), noise, chance)))
    best, most = DEFAULT, -math.inf
    for number in range(1, trials):
        config = auto.propose(f"{number:04d}")
        assert config is not None
        outcome = completed(shown(truth(config.values, scale), noise, chance))
        auto.tell(f"{number:04d}", outcome)
        if outcome.meets_slos and outcome.values[0] > most:
            best, most = config, outcome.values[0]
    return auto, best, scale


def true_value(config: Config, scale: Mapping[str, float]) -> float | None:
    """At its best level where the margin holds."""
    return max((good for good, margin in truth(config.values, scale).values() if margin <= 0), default=None)


def put_back(config: Config) -> list[Config]:
    """Each of its changes from the default by itself."""
    names = [name for name, value in DEFAULT.values.items() if config.values[name] != value]
    return [Config({**config.values, name: DEFAULT.values[name]}) for name in names]


def believed(auto: SurrogateProposer, config: Config, *others: Config) -> list[GainBelief]:
    found = auto.expected_gains(config, others)
    assert found is not None
    return list(found)


def test_over_twenty_searches_the_intervals_hold_the_true_ratio() -> None:
    """With 3 % of noise; nine of ten at the least, of a nominal 95 %. And they say something: most settings that are
    worth a third or more are seen to be worth something."""
    held, seen = [], []
    for seed in range(20):
        auto, best, scale = searched(seed, 0.03)
        others = put_back(best)
        for other, belief in zip(others, believed(auto, best, *others), strict=True):
            ours, theirs = true_value(best, scale), true_value(other, scale)
            if ours is None or theirs is None or belief.low is None or belief.high is None:
                continue
            held.append(belief.low <= ours - theirs <= belief.high)
            if ours - theirs > math.log(4 / 3):
                seen.append(belief.low > 0)
    assert len(held) > 35
    assert sum(held) / len(held) >= 0.9
    assert sum(seen) / len(seen) > 0.5


def two_neighbours() -> SurrogateProposer:
    """Values that rise along batch, measured of one kind alone."""
    auto = searcher(PARAMETERS)
    for number, batch in enumerate(PARAMETERS["batch"]):
        levels = (Shown(HIGH, 0.1 * number, {"ttft_p90_ms": -3.0}),)
        config = Config({"batch": batch, "share": 0.1, "cache": False, "kind": "a"})
        auto.replay(f"{number:04d}", config, completed(levels))
    return auto


def width(belief: GainBelief) -> float:
    assert belief.low is not None
    assert belief.high is not None
    return belief.high - belief.low


def test_of_two_measured_neighbours_the_difference_is_what_was_measured() -> None:
    best, other = (Config({**DEFAULT.values, "batch": batch}) for batch in (16, 8))
    (belief,) = believed(two_neighbours(), best, other)
    assert belief.gain == pytest.approx(0.1, abs=0.03)
    assert belief.low is not None
    assert belief.high is not None
    assert 0 < belief.low < belief.high < 0.2


def test_what_was_never_seen_is_doubted_the_more() -> None:
    best = Config({**DEFAULT.values, "batch": 16})
    known, unknown = believed(
        two_neighbours(), best, Config({**best.values, "batch": 8}), Config({**best.values, "kind": "c"})
    )
    assert width(unknown) > 2 * width(known)


def test_a_config_is_no_better_than_itself() -> None:
    """The difference is drawn of both together: what is not known of the Config is the same on both sides."""
    auto, best, _ = searched(1, 0.03)
    (belief,) = believed(auto, best, best)
    assert belief.gain == pytest.approx(0, abs=1e-3)
    assert width(belief) < 1e-3
    assert belief.meets == pytest.approx(belief.other_meets)


def test_a_setting_without_which_the_slos_break_has_no_ratio_but_a_chance() -> None:
    auto = searcher({"batch": [1, 2, 4, 8, 16]})
    for number, batch in enumerate((1, 2, 4, 8, 16)):
        levels = (Shown(HIGH, 1.0, {"ttft_p90_ms": -1.0 if batch < 8 else 2.0}),)
        auto.replay(f"{number:04d}", Config({"batch": batch}), completed(levels))
    holds, breaks = believed(auto, Config({"batch": 1}), Config({"batch": 2}), Config({"batch": 16}))
    assert holds.gain == pytest.approx(0, abs=0.05)
    assert (breaks.gain, breaks.low, breaks.high) == (None, None, None)
    assert breaks.other_meets < 0.05 < 0.95 < breaks.meets


def test_asking_changes_nothing_that_is_proposed_and_is_answered_alike() -> None:
    auto, best, _ = searched(2, 0.03, trials=10)
    twin, *_ = searched(2, 0.03, trials=10)
    others = put_back(best)
    assert believed(auto, best, *others) == believed(auto, best, *others)
    assert auto.propose("0010") == twin.propose("0010")


def test_nothing_is_believed_of_what_was_not_measured_or_met_no_slo() -> None:
    auto = two_neighbours()
    assert isinstance(auto, Comparing)
    unknown = Config({**DEFAULT.values, "kind": "b"})
    assert auto.expected_gains(unknown, [DEFAULT]) is None
    auto.replay("0009", unknown, completed((Shown(HIGH, 9.0, {"ttft_p90_ms": 1.0}),)))
    assert auto.expected_gains(unknown, [DEFAULT]) is None, "it breaks the SLO"
    failed = Config({**DEFAULT.values, "kind": "c"})
    auto.replay("0010", failed, FAILED)
    assert auto.expected_gains(failed, [DEFAULT]) is None
    assert searcher(PARAMETERS).expected_gains(DEFAULT, [unknown]) is None, "nothing was told"


def test_nothing_is_believed_without_levels_and_of_several_objectives() -> None:
    auto = searcher(PARAMETERS)
    auto.replay("0000", DEFAULT, worth(1.0))
    assert auto.expected_gains(DEFAULT, [Config({**DEFAULT.values, "batch": 2})]) is None
    several = searcher(PARAMETERS, objective=["throughput", "ttft_p90"])
    several.replay("0000", DEFAULT, Outcome(OutcomeKind.COMPLETED, (1.0, -1.0)))
    assert several.expected_gains(DEFAULT, [Config({**DEFAULT.values, "batch": 2})]) is None
