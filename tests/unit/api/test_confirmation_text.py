"""What the plan says of confirmation."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.api.check_report import confirmation_text
from tests.tuning_parts import study


@pytest.mark.parametrize(
    ("search", "told"),
    [
        ({"confirm": 0}, "none"),
        ({"confirm": 3, "finalists": None}, "3 rounds of best and default"),
        ({"confirm": 3, "finalists": 1}, "at most 3 rounds of the default and the best, until they are told apart"),
        (
            {"confirm": 2, "finalists": 3},
            "at most 2 rounds of the default, the best and up to 2 that may be better, until they are told apart",
        ),
        (
            {"confirm": 1},
            "at most 1 round of the default, the best and up to 2 that may be better, until they are told apart",
        ),
    ],
)
def test_it_is_said_how_many_rounds_there_may_be_and_of_whom(search: dict[str, Any], told: str) -> None:
    assert confirmation_text(study(search=search)) == told
