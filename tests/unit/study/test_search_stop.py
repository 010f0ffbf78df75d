"""search.stop: on by default, off where it is said, and where a study began before there was such a key."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from autotuner.study.earlier_rules import with_earlier_rules
from autotuner.study.model import Stop
from autotuner.study.sections.space import Search


def test_it_is_on_by_default() -> None:
    assert Search().stop == Stop(improvement=0.03, patience=2)
    assert Search().algorithm == "auto"


@pytest.mark.parametrize("value", ["off", False, None])
def test_off_is_said_in_three_ways(value: Any) -> None:
    assert Search.model_validate({"stop": value}).stop is None


def test_a_part_is_completed_by_the_defaults() -> None:
    assert Search.model_validate({"stop": {"improvement": 0.01}}).stop == Stop(improvement=0.01, patience=2)


@pytest.mark.parametrize("value", [{"improvement": 0}, {"improvement": 1}, {"patience": 0}, {"often": 1}, "on", True])
def test_what_is_no_rule_is_refused(value: Any) -> None:
    with pytest.raises(ValidationError):
        Search.model_validate({"stop": value})


def test_a_study_that_began_without_it_goes_on_without_it_and_by_its_searcher() -> None:
    earlier = with_earlier_rules({"search": {"trials": 3}})["search"]
    assert (earlier["stop"], earlier["algorithm"]) == (None, "tpe")
    kept = {"stop": {"improvement": 0.1}, "algorithm": "auto"}
    assert with_earlier_rules({"search": kept})["search"].items() >= kept.items()
