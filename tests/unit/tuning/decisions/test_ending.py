"""Why a study ends, and what is known of a trial that has ended."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.errors import Failure
from autotuner.results.records import Phase
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment, RungReport
from autotuner.tuning.decisions.ending import Ending
from autotuner.tuning.decisions.followed_trial import Followed
from tests.tuning_parts import report

SATURATED = Failure.CLIENT_SATURATED
INNOCENT = (Failure.CLIENT_SATURATED, Failure.INFRASTRUCTURE)


def followed(failure: Failure | None = None, phase: Phase = Phase.SEARCH) -> Followed:
    return Followed(Assignment("0001", phase, Config({}), 1), failure=failure)


def note(ending: Ending, *failures: Failure | None, phase: Phase = Phase.SEARCH) -> bool:
    for failure in failures:
        ending.note(followed(failure, phase))
    return ending.is_cut_by_client()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({}, "all trials done"),
        ({"exhausted": "no further Config"}, "no further Config"),
        ({"exhausted": "no further Config", "limit": "gpu_hours"}, "budget: gpu_hours"),
        ({"limit": "gpu_hours", "has_no_place": True}, "no node is left that holds a trial"),
    ],
)
def test_what_cut_it_short_is_told_before_what_did_not(given: dict[str, Any], reason: str) -> None:
    assert Ending(**given).reason == reason


def test_five_trials_in_a_row_that_the_client_was_too_slow_for_are_enough() -> None:
    ending = Ending()
    assert not note(ending, *[SATURATED] * 4)
    assert ending.reason == "all trials done"
    assert note(ending, SATURATED)
    assert ending.reason.startswith("the load driver was too slow in 5 trials in a row: give it more cores")
    assert note(ending, SATURATED)
    assert "in 6 trials" in ending.reason
    ending.exhausted = "no further Config"
    assert "too slow" in ending.reason
    ending.limit = "gpu_hours"
    assert ending.reason == "budget: gpu_hours"


@pytest.mark.parametrize("other", [None, Failure.CRASH, Failure.INFRASTRUCTURE])
def test_any_other_end_breaks_the_row(other: Failure | None) -> None:
    ending = Ending()
    assert not note(ending, *[SATURATED] * 4, other, SATURATED)
    assert note(ending, *[SATURATED] * 4)


@pytest.mark.parametrize("phase", [Phase.CONFIRM, Phase.NODE_CHECK])
def test_what_does_not_explore_neither_counts_nor_breaks_the_row(phase: Phase) -> None:
    ending = Ending()
    note(ending, *[SATURATED] * 4)
    assert not note(ending, SATURATED, None, phase=phase)
    assert note(ending, SATURATED, phase=Phase.BASELINE)


def test_it_is_told_only_where_it_cut_something() -> None:
    """Asked only where there is more to do."""
    ending = Ending()
    for _ in range(5):
        ending.note(followed(SATURATED))
    assert ending.reason == "all trials done"


@pytest.mark.parametrize("failure", [None, *Failure])
def test_a_config_is_at_fault_for_all_but_what_says_nothing_of_it(failure: Failure | None) -> None:
    assert followed(failure).is_at_fault is (failure is not None and failure not in INNOCENT)


@pytest.mark.parametrize("failure", [None, *Failure])
@pytest.mark.parametrize("phase", Phase)
def test_spoiled_is_a_confirmation_that_failed_through_no_fault_of_its_config(
    failure: Failure | None, phase: Phase
) -> None:
    assert followed(failure, phase).is_spoiled is (phase is Phase.CONFIRM and failure in INNOCENT)


@pytest.mark.parametrize(
    ("more", "is_final"),
    [({}, False), ({"last": True}, True), ({"failure": Failure.CRASH}, True), ({"out_of_time": True}, True)],
)
def test_a_report_is_final_once_the_trial_has_ended(more: dict[str, Any], is_final: bool) -> None:
    assert report("0001", 0, **more).is_final is is_final


def test_a_report_that_says_no_more_reserved_no_gpu_and_asks_for_no_repeat() -> None:
    bare = RungReport("0001", 0, last=False, score=None)
    assert (bare.gpus, bare.to_repeat, bare.is_final) == (0, False, False)
    assert RungReport("0001", 0, last=False, score=None, stopped=True).is_final


def test_a_trial_that_just_began_took_nothing_and_was_not_cut() -> None:
    assert (followed().seconds, followed().gpu_seconds, followed().is_cut) == (0, 0, False)
