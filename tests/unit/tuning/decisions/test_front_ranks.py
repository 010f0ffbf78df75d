"""How trials of several objectives stand to one another after a rung."""

from __future__ import annotations

from autotuner.tuning.decisions.front_ranks import FrontRanks


def test_a_trial_stands_as_low_as_there_are_others_that_dominate_it() -> None:
    ranks = FrontRanks()
    assert ranks.rank("a", 1, (9.0, 1.0)) == 0
    assert ranks.rank("b", 1, (1.0, 9.0)) == 0, "at the other end of the front"
    assert ranks.rank("c", 1, (5.0, 5.0)) == 0, "between them"
    assert ranks.rank("d", 1, (4.0, 4.0)) == -1, "less than c in both"
    assert ranks.rank("e", 1, (0.0, 1.0)) == -4, "less than all in the one, less or the same in the other"


def test_the_same_dominates_nothing() -> None:
    ranks = FrontRanks()
    assert ranks.rank("a", 1, (2.0, 2.0)) == ranks.rank("b", 1, (2.0, 2.0)) == 0


def test_rungs_are_apart() -> None:
    ranks = FrontRanks()
    ranks.rank("a", 3, (9.0, 9.0))
    assert ranks.rank("b", 1, (1.0, 1.0)) == 0
    assert ranks.rank("b", 3, (1.0, 1.0)) == -1


def test_what_is_told_of_a_trial_again_takes_the_place_of_what_was() -> None:
    ranks = FrontRanks()
    ranks.rank("a", 1, (9.0, 9.0))
    ranks.rank("a", 1, (1.0, 1.0))
    assert ranks.rank("b", 1, (2.0, 2.0)) == 0
