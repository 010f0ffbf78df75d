"""What stands in for a Config that was proposed before."""

from __future__ import annotations

import random

from autotuner.space.config import Config
from autotuner.tuning.proposers.nearest_new import nearest_new
from autotuner.tuning.proposers.same_config import Seen
from tests.surrogate_parts import built

SPACE = built({"a": [0, 1, 2, 3, 4, 5, 6, 7], "b": [0, 1, 2, 3, 4, 5, 6, 7]}, constraints=["a + b != 9"])


def pair(a: int, b: int) -> Config:
    return Config({"a": a, "b": b})


def found(wanted: list[Config], seen: list[Config], seed: int = 0) -> Config | None:
    known = Seen()
    for config in seen:
        known.add(config)
    return nearest_new(SPACE, wanted, known, random.Random(seed))


def test_it_is_one_change_away_from_what_is_wanted_most() -> None:
    wanted = [pair(7, 7), pair(3, 3), pair(3, 3)]
    beside = {pair(2, 3), pair(4, 3), pair(3, 2), pair(3, 4)}
    assert {found(wanted, wanted, seed) for seed in range(30)} == beside


def test_where_all_about_it_is_known_the_next_wanted_comes_first() -> None:
    known = [pair(3, 3), pair(2, 3), pair(4, 3), pair(3, 2), pair(3, 4), pair(7, 7)]
    assert {found([pair(3, 3), pair(7, 7)], known, seed) for seed in range(20)} == {pair(6, 7), pair(7, 6)}


def test_what_breaks_a_constraint_leads_to_what_does_not() -> None:
    assert {found([pair(4, 5)], [], seed) for seed in range(30)} == {pair(3, 5), pair(5, 5), pair(4, 4), pair(4, 6)}


def test_far_from_all_that_is_wanted_one_is_drawn() -> None:
    left = pair(7, 7)
    known = [config for config in SPACE.grid() if config != left]
    assert found([pair(0, 0)], known) == left
    assert found([pair(0, 0)], [*known, left]) is None
