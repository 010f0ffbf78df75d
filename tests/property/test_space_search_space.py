"""Spaces of every shape against brute force: what is drawn, listed and counted."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from autotuner.errors import SpaceError
from autotuner.space import Config, SearchSpace, read_space

FORMS: list[tuple[Any, list[Any]]] = [
    ({"int": [1, 4]}, [1, 2, 3, 4]),
    ({"int": [0, 9], "step": 4}, [0, 4, 8]),
    ({"int": [1, 3], "log": True}, [1, 2, 3]),
    ({"float": [0.1, 0.5], "step": 0.2}, [0.1, 0.3, 0.5]),
    ([1, 2, None], [1, 2, None]),
    ([True, False], [True, False]),
    ([4, "auto"], [4, "auto"]),
]


def number(value: Any) -> Any:
    """Refuses what Python would reckon with and expressions do not: texts."""
    return value if isinstance(value, int | float) else value - 0


# Each as the text, and as Python over the values p0, p1, p2.
CONSTRAINTS = {
    "p0 + p1 <= 5": lambda v: number(v["p0"]) + number(v["p1"]) <= 5,
    "p0 * p2 != 4": lambda v: number(v["p0"]) * number(v["p2"]) != 4,
    "p1 >= p2 or p0 == 1": lambda v: number(v["p1"]) >= number(v["p2"]) or v["p0"] == 1,
    "max(p0, p1, p2) in [1, 2, 3, 4]": lambda v: max(map(number, v.values())) in (1, 2, 3, 4),
    "10 / (p0 - 2) > 3": lambda v: 10 / (number(v["p0"]) - 2) > 3,
}
CONDITIONS = {
    "p0 >= 2": lambda v: number(v["p0"]) >= 2,
    "p0 != 1": lambda v: v["p0"] != 1,
}


@dataclass(frozen=True)
class Case:
    """A space, and every Config of it by nested loops."""

    space: SearchSpace
    configs: list[Config]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    chosen = [draw(st.sampled_from(FORMS)) for _ in range(3)]
    conditions = {name: draw(st.sampled_from(sorted(CONDITIONS))) for name in ("p1", "p2") if draw(st.booleans())}
    constraints = draw(st.lists(st.sampled_from(sorted(CONSTRAINTS)), unique=True, max_size=3))
    try:
        space = read_space({f"p{i}": form for i, (form, _) in enumerate(chosen)}, conditions, constraints)
    except SpaceError:
        assume(False)
    return Case(space, list(brute_force([values for _, values in chosen], conditions, constraints)))


def brute_force(values: list[list[Any]], conditions: dict[str, str], constraints: list[str]) -> Iterator[Config]:
    seen: set[Config] = set()
    for point in itertools.product(*values):
        whole = {f"p{i}": value for i, value in enumerate(point)}
        present = {name: value for name, value in whole.items() if judged(CONDITIONS, conditions.get(name), whole)}
        config = Config(present)
        if config not in seen and all(judged(CONSTRAINTS, text, present) is not False for text in constraints):
            seen.add(config)
            yield config


def judged(rules: dict[str, Any], text: str | None, values: dict[str, Any]) -> bool | None:
    """As documented: what names an absent parameter, or has no value, is not judged."""
    if text is None:
        return True
    names = [name for name in ("p0", "p1", "p2") if name in text]
    if any(name not in values for name in names):
        return None
    try:
        return bool(rules[text](values))
    except (TypeError, ZeroDivisionError):
        return None


@given(cases())
def test_the_grid_is_what_nested_loops_find(case: Case) -> None:
    if not case.configs:
        assert list(case.space.grid()) == []
        return
    found = list(case.space.grid())
    assert len(found) == len(set(found))
    assert set(found) == set(case.configs)


@given(cases())
def test_the_count_is_the_number_of_configs(case: Case) -> None:
    if not case.configs:
        with pytest.raises(SpaceError, match="no Config meets the constraints"):
            case.space.count()
        return
    count = case.space.count()
    assert count.exact
    assert count.number == len(case.configs)


@given(cases(), st.integers(0, 2**32))
def test_what_is_drawn_is_in_the_space(case: Case, seed: int) -> None:
    assume(case.configs)
    for rng in (random.Random(seed), np.random.default_rng(seed)):
        for _ in range(5):
            config = case.space.sample(rng)
            assert config in case.configs
            assert case.space.contains(config)
            assert case.space.violated(config) is None


@given(cases(), st.data())
def test_contains_tells_configs_from_other_points(case: Case, data: st.DataObject) -> None:
    anything = st.sampled_from([0, 1, 2, 3, 4, 0.3, None, True, "auto", 7])
    values = data.draw(st.dictionaries(st.sampled_from(["p0", "p1", "p2", "p3"]), anything, max_size=4))
    assert case.space.contains(Config(values)) == (Config(values) in case.configs)


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.booleans(), st.floats(0, 1, exclude_max=True))
def test_a_draw_from_a_range_of_whole_numbers_stays_in_it(low: int, width: int, log: bool, fraction: float) -> None:
    parameter = read_space({"x": {"int": [low, low + width], "log": log}})["x"]
    assert parameter.contains(parameter.draw(fraction))


@given(st.floats(1e-6, 1e6), st.floats(1, 1e3), st.booleans(), st.floats(0, 1, exclude_max=True))
def test_a_draw_from_a_range_of_numbers_stays_in_it(low: float, ratio: float, log: bool, fraction: float) -> None:
    assume(math.isfinite(low * ratio))
    parameter = read_space({"x": {"float": [low, low * ratio], "log": log}})["x"]
    assert parameter.contains(parameter.draw(fraction))
