"""Which Configs can still be proposed, and the best of them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from autotuner.space import SearchSpace
from autotuner.space.config import Config
from autotuner.tuning.proposers.surrogate.candidates import Candidates, Drawn, Listed, candidates_of
from autotuner.tuning.proposers.surrogate.encoding import Encoding, Matrix, Vector
from autotuner.tuning.proposers.surrogate.neighbours import neighbours
from tests.surrogate_parts import built

SMALL = built({"a": {"int": [0, 9]}, "b": [None, 1, 2]}, constraints=["a != 4"])
LARGE = built(
    {"x": {"float": [0.0, 1.0]}, "y": {"float": [0.0, 1.0]}, "kind": ["a", "b"], "z": {"int": [1, 1000], "log": True}},
    conditions={"z": "kind == 'b'"},
    constraints=["x + y <= 1.5"],
)


def of(space: SearchSpace, seed: int = 0) -> Candidates:
    return candidates_of(space, Encoding(space), random.Random(seed))


def first_column(x: Matrix) -> Vector:
    column: Vector = x[:, 0]
    return column


def test_a_space_is_listed_where_it_is_small_enough() -> None:
    assert isinstance(of(SMALL), Listed)
    assert isinstance(of(LARGE), Drawn)
    assert isinstance(of(built({"a": {"int": [1, 50_001]}})), Drawn)
    assert isinstance(of(built({"a": {"int": [1, 50_000]}})), Listed)


def test_the_best_that_is_open_is_found_until_none_is() -> None:
    candidates = of(SMALL)
    found = []
    while (config := candidates.best(first_column)) is not None:
        found.append(config)
        candidates.close(config)
    assert set(found) == set(SMALL.grid())
    order = [config.values["a"] for config in found]
    assert order == sorted(order, reverse=True)
    assert candidates.some(10) == []


@pytest.mark.parametrize("space", [SMALL, LARGE])
def test_some_are_drawn_of_those_that_are_open(space: SearchSpace) -> None:
    candidates = of(space)
    closed = candidates.some(12)
    for config in closed:
        candidates.close(config)
    drawn = candidates.some(15)
    assert len(set(drawn)) == 15
    assert not {*drawn} & {*closed}
    assert all(space.contains(config) for config in drawn)


def test_a_default_that_asks_the_same_closes_its_candidate() -> None:
    candidates = of(SMALL)
    candidates.close(Config({"a": 9}))
    candidates.close(Config({"c": "not of this space"}))
    left = set(candidates.some(100))
    assert left == set(SMALL.grid()) - {Config({"a": 9, "b": None})}


def test_a_space_too_large_to_list_is_climbed() -> None:
    """A peak that 2,000 draws come no nearer to than 0.01 or so, in a place that they know nothing of."""
    encoding = Encoding(LARGE)
    top = encoding.matrix([Config({"x": 0.7321, "y": 0.4567, "kind": "b", "z": 777})])

    def nearness(x: Matrix) -> Vector:
        distance: Vector = -np.sqrt(((x - top) ** 2).sum(1))
        return distance

    found = of(LARGE).best(nearness)
    assert found is not None
    assert LARGE.contains(found)
    assert nearness(encoding.matrix([found]))[0] > -0.02


def test_climbing_begins_at_what_is_known_to_be_good_too() -> None:
    encoding = Encoding(LARGE)
    known = Config({"x": 0.25, "y": 0.5, "kind": "a"})
    candidates = of(LARGE)
    candidates.close(known)

    def only_beside(x: Matrix) -> Vector:
        beside: Vector = (np.abs(x - encoding.matrix([known])).max(1) < 0.005).astype(float)
        return beside

    found = candidates.best(only_beside, [known])
    assert found is not None
    assert found != known
    assert only_beside(encoding.matrix([found]))[0] == 1.0


def test_neighbours_differ_in_one_parameter_and_what_follows_from_it() -> None:
    space = built(
        {"kind": ["a", "b", "c"], "list": [4, 1, 2, 8], "draft": [None, 8, 16], "size": {"int": [1, 100]}},
        conditions={"size": "kind == 'b'"},
        constraints=["list < 8 or draft == 16"],
    )
    config = Config({"kind": "a", "list": 4, "draft": None})
    found = list(neighbours(space, config, random.Random(0)))
    assert all(space.contains(one) for one in found)
    changed = [{n for n in ("kind", "list", "draft") if one.values[n] != config.values[n]} for one in found]
    assert all(len(names) == 1 for names in changed)
    assert {one.values["kind"] for one in found} == {"a", "b", "c"}
    assert {one.values["list"] for one in found} == {4, 2}, "the next ones, of which a constraint rules out one"
    assert {one.values["draft"] for one in found} == {None, 8, 16}
    assert all(("size" in one.values) == (one.values["kind"] == "b") for one in found)


def test_neighbours_in_a_range_are_near_and_far() -> None:
    space = built({"x": {"float": [0.0, 1.0]}})
    moves = [
        abs(float(one.values["x"]) - 0.5)
        for seed in range(50)
        for one in neighbours(space, Config({"x": 0.5}), random.Random(seed))
    ]
    assert min(moves) < 0.005
    assert max(moves) > 0.3
