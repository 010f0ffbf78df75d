"""When a search ends because its searcher expects little more."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from autotuner.results.records import TrialState
from autotuner.space.config import Config
from autotuner.study.model import Stop
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.foresight import Foresight
from autotuner.tuning.decisions.pause import Pause
from autotuner.tuning.proposers import Outcome, OutcomeKind
from tests.tuning_parts import CountingProposer, report, rules

TOLD, FORGOTTEN = Outcome(OutcomeKind.COMPLETED, (1.0,)), Outcome(OutcomeKind.UNKNOWN)


class Expecting(CountingProposer):
    """Expects ``gains[n]`` after n trials were told of."""

    def __init__(self, gains: Sequence[float | None]) -> None:
        super().__init__()
        self.gains = gains
        self.count = 0
        self.asked: list[int] = []

    def tell(self, trial_id: str, outcome: Outcome) -> None:
        super().tell(trial_id, outcome)
        self.count += 1

    def replay(self, trial_id: str, config: Config, outcome: Outcome | None) -> None:
        super().replay(trial_id, config, outcome)
        self.count += outcome is not None

    def expected_gain(self, before: int = 0) -> float | None:
        self.asked.append(before)
        return self.gains[self.count - before]


def foresight(gains: Sequence[float | None], rule: Stop | None) -> tuple[Foresight, Expecting]:
    searcher = Expecting(gains)
    return Foresight(rule, searcher), searcher


def ended_after(gains: Sequence[float | None], rule: Stop | None, told: Outcome = TOLD) -> int | None:
    """How many trials were told of when it was enough."""
    judge, searcher = foresight(gains, rule)
    for count in range(len(gains)):
        searcher.count = count
        if judge.why_enough():
            return count
        judge.replay(f"{count:04d}", Config({}), told)
    return None


@pytest.mark.parametrize(
    ("gains", "patience", "count"),
    [
        ([0.5, 0.5, 0.01, 0.02, 0.5], 2, 3),
        ([0.5, 0.01, 0.5, 0.02, 0.01], 2, 4),  # in a row
        ([0.5, 0.5, 0.01, 0.5, 0.5], 1, 2),
        ([0.5, 0.03, 0.03, 0.03, 0.03], 2, None),  # not under it
        ([None, None, None, 0.01, None], 2, None),  # nothing is said
        ([0.01, 0.01, 0.01], 2, 2),  # no sooner than so many trials were told of
    ],
)
def test_it_is_enough_once_little_is_expected_so_many_times_in_a_row(
    gains: list[float | None], patience: int, count: int | None
) -> None:
    assert ended_after(gains, Stop(improvement=0.03, patience=patience)) == count


def test_it_goes_on_without_a_rule_and_with_a_searcher_that_expects_nothing() -> None:
    assert ended_after([0.0] * 5, None) is None
    judge = Foresight(Stop(), CountingProposer())
    for number in range(5):
        judge.tell(f"{number:04d}", TOLD)
    assert judge.why_enough() == ""


def test_what_says_nothing_of_a_config_is_no_trial_that_was_told_of() -> None:
    assert ended_after([0.0] * 5, Stop(), FORGOTTEN) is None


def test_the_reason_has_the_numbers() -> None:
    judge, _ = foresight([1.0, 0.0214, 0.0089], Stop())
    for number in range(2):
        judge.tell(f"{number:04d}", TOLD)
    assert "2.1%, 0.9%" in judge.why_enough()
    assert "less than 3.0%" in judge.why_enough()


def test_it_is_asked_once_for_each_count_and_for_the_past_only_where_that_is_not_known() -> None:
    judge, searcher = foresight([1.0, 0.01, 0.01], Stop())
    for number in range(2):
        judge.tell(f"{number:04d}", TOLD)
    assert judge.why_enough()
    assert judge.why_enough()
    assert searcher.asked == [0, 1]


class Amended(Expecting):
    """What it expects follows from what it is told anew."""

    def amend(self, trial_id: str, outcome: Outcome) -> None:
        self.gains = [1.0] * len(self.gains)


def test_once_a_trial_is_told_anew_it_is_asked_again() -> None:
    searcher = Amended([1.0, 0.01, 0.01])
    judge = Foresight(Stop(), searcher)
    for number in range(2):
        judge.tell(f"{number:04d}", TOLD)
    assert judge.why_enough()
    judge.amend("0001", TOLD)
    assert judge.why_enough() == ""


def run_trial(study: Conductor) -> None:
    assignment = study.next(Spent())
    assert isinstance(assignment, Assignment)
    study.rung_ended(report(assignment.trial_id, 0, 5.0, last=True))
    study.trial_ended(assignment.trial_id, TrialState.COMPLETED, None)


def test_a_study_proposes_nothing_more_and_says_why() -> None:
    searcher = Expecting([1.0, 1.0, 1.0, 0.01, 0.01, 0.01])
    study = Conductor(rules(trials=10, rungs=1, confirm=0, max_running=1, stop=Stop()), searcher, Budget())
    for _ in range(4):
        run_trial(study)
    assert study.next(Spent()) is Pause.FINISHED
    assert "search.stop" in study.stop_reason
    assert len(searcher.told) == 4


def test_a_study_of_few_trials_ends_by_them() -> None:
    study = Conductor(rules(trials=3, rungs=1, confirm=0, stop=Stop()), Expecting([1.0] * 9), Budget())
    for _ in range(3):
        run_trial(study)
    assert study.next(Spent()) is Pause.FINISHED
    assert study.stop_reason == "all trials done"
