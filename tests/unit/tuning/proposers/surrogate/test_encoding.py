"""How far apart the points of Configs lie."""

from __future__ import annotations

import numpy as np
import pytest

from autotuner.space.config import Config
from autotuner.tuning.proposers.surrogate.encoding import Encoding, fraction, numbers
from tests.surrogate_parts import built

SPACE = built(
    {
        "batch": [16, 512, 64],
        "rate": {"float": [0.001, 1.0], "log": True},
        "slots": {"int": [1, 9]},
        "kind": ["a", "b", 1],
        "draft": [None, 8, 16],
        "cache": [True, False],
    },
    conditions={"rate": "cache"},
)
USUAL = {"batch": 16, "rate": 0.001, "slots": 1, "kind": "a", "draft": 8, "cache": True}


def apart(**changes: object) -> float:
    """The distance between a Config and one with other values; ``...`` leaves a parameter out."""
    changed = {name: value for name, value in {**USUAL, **changes}.items() if value is not ...}
    one, other = Encoding(SPACE).matrix([Config(USUAL), Config(changed)])
    return float(np.linalg.norm(one - other))


def test_a_list_of_numbers_is_ordered_by_rank() -> None:
    assert apart(batch=64) == pytest.approx(0.5)
    assert apart(batch=512) == pytest.approx(1.0)


def test_a_range_is_ordered_on_its_own_scale() -> None:
    assert apart(slots=5) == pytest.approx(0.5)
    assert apart(slots=9) == pytest.approx(1.0)
    assert apart(rate=10**-1.5) == pytest.approx(0.5)
    assert apart(rate=1.0) == pytest.approx(1.0)


def test_categories_are_all_as_far_from_one_another() -> None:
    assert apart(kind="b") == apart(kind=1) == pytest.approx(1.0)
    assert apart(cache=False) == pytest.approx(1.0)


def test_null_is_as_if_it_were_left_out() -> None:
    left_out = {name: value for name, value in USUAL.items() if name != "draft"}
    null, absent = Encoding(SPACE).matrix([Config({**USUAL, "draft": None}), Config(left_out)])
    assert (null == absent).all()


def test_what_is_absent_is_farther_from_every_value_than_values_from_one_another() -> None:
    """Wherever in its range the value lies."""
    assert apart(rate=...) == pytest.approx(1.25**0.5)
    absent, value = Config({n: v for n, v in USUAL.items() if n != "rate"}), Config({**USUAL, "rate": 1.0})
    one, other = Encoding(SPACE).matrix([absent, value])
    assert np.linalg.norm(one - other) == pytest.approx(1.25**0.5)


def test_a_baseline_may_have_what_the_space_has_not() -> None:
    """A number between two others, one beyond them, an unknown category, and a flag that is not searched over."""
    strange = Config({**USUAL, "batch": 40, "slots": 17, "kind": "other", "flag": 3})
    row = Encoding(SPACE).matrix([strange])
    assert np.isfinite(row).all()
    assert apart(batch=40) == pytest.approx(0.25)
    assert apart(slots=17) == pytest.approx(2.0)
    assert apart(kind="other") == pytest.approx(1.0)


def test_each_column_belongs_to_a_parameter() -> None:
    owners = Encoding(SPACE).owners
    assert len(owners) == Encoding(SPACE).matrix([Config(USUAL)]).shape[1]
    assert sorted(set(owners.tolist())) == list(range(len(SPACE.parameters)))


def test_only_numbers_are_ordered() -> None:
    assert numbers(SPACE["batch"]) == (16.0, 64.0, 512.0)
    assert numbers(SPACE["draft"]) == (8.0, 16.0)
    assert numbers(SPACE["kind"]) == numbers(SPACE["cache"]) == numbers(SPACE["slots"]) == ()


def test_a_range_of_one_value_has_a_middle() -> None:
    one = built({"slots": {"int": [4, 4]}})["slots"]
    assert fraction(one, 4) == 0.5  # type: ignore[arg-type]
