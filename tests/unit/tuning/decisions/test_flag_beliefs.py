"""What is kept of a searcher's beliefs when a study ends."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from autotuner.engines import build_space
from autotuner.results.records import Phase
from autotuner.results.worth import FlagBelief, FlagBeliefs
from autotuner.scoring import Direction
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.flag_beliefs import find_flag_beliefs
from autotuner.tuning.decisions.put_back import PutBack
from autotuner.tuning.proposers import GainBelief
from tests.tuning_parts import CountingProposer, study

STUDY = study(parameters={"ubatch-size": [128, 512], "batch-size": [256, 512], "threads": [1, 2]})
PUT_BACK = PutBack(STUDY, build_space(STUDY))
BEST = Config({"ubatch-size": 128, "batch-size": 256, "threads": 2})
DEFAULT = Config({"batch-size": 512, "threads": 2})


class Believer(CountingProposer):
    """Half as good again without ubatch-size; without batch-size no SLO holds."""

    def expected_gains(self, config: Config, others: Sequence[Config]) -> Sequence[GainBelief]:
        assert config == BEST
        assert [o.values["ubatch-size"] for o in others] == [128, 512], "in the words of the space"
        return [
            GainBelief(None, None, None, 0.9, 0.01),
            GainBelief(math.log(1.5), math.log(1.2), math.log(1.9), 0.9, 0.8),
        ]


def found(proposer: CountingProposer, direction: Direction = Direction.MAX) -> FlagBeliefs:
    winner = Assignment("0007", Phase.SEARCH, BEST, 2)
    return find_flag_beliefs(PUT_BACK, proposer, winner, DEFAULT, direction)


def test_every_change_has_its_config_and_the_ratio_that_is_believed() -> None:
    beliefs = found(Believer())
    assert beliefs.trial_id == "0007"
    batch, micro = beliefs.flags
    assert batch == FlagBelief("batch-size", {"ubatch-size": 128, "batch-size": 512, "threads": 2}, meets=0.01)
    assert micro.without == {"batch-size": 256, "threads": 2}
    assert micro.ratio == pytest.approx(1.5)
    assert micro.low == pytest.approx(1.2)
    assert micro.high == pytest.approx(1.9)
    assert micro.meets == 0.8


def test_where_less_is_better_the_ratio_of_a_gain_is_below_one() -> None:
    *_, micro = found(Believer(), Direction.MIN).flags
    assert micro.ratio == pytest.approx(1 / 1.5)
    assert micro.low == pytest.approx(1 / 1.9)
    assert micro.high == pytest.approx(1 / 1.2)


def test_of_a_searcher_that_compares_nothing_the_configs_are_kept() -> None:
    flags = found(CountingProposer()).flags
    assert [flag.parameter for flag in flags] == ["batch-size", "ubatch-size"]
    assert all(flag.without and flag.ratio is None and flag.meets is None for flag in flags)
