"""Settings of the best that seem to do nothing are put back when the search has ended, and then confirmed."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from autotuner.engines import build_space
from autotuner.errors import Failure
from autotuner.results.records import Phase, TrialState
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.followed_trial import KnownTrial
from autotuner.tuning.decisions.pause import Pause
from autotuner.tuning.decisions.put_back import PutBack
from autotuner.tuning.decisions.rules import Rules
from autotuner.tuning.proposers import GainBelief, Outcome
from tests.tuning_parts import report, rules, score, study

STUDY = study(
    parameters={"ubatch-size": [128, 256, 512], "batch-size": [256, 512, 1024], "threads": [1, 2, 3]},
)
DEFAULT = Config({"ubatch-size": 512, "batch-size": 256, "threads": 1})
BEST = Config({"ubatch-size": 128, "batch-size": 1024, "threads": 2})
OTHER = Config({"ubatch-size": 256, "batch-size": 256, "threads": 3})
PLAIN = Config({"ubatch-size": 128, "batch-size": 256, "threads": 1})
HALF = Config({"ubatch-size": 128, "batch-size": 256, "threads": 2})
VALUES = {DEFAULT: 100.0, BEST: 50.0, OTHER: 90.0, PLAIN: 50.1, HALF: 50.0}  # latencies


class Believer:
    """Proposes BEST and OTHER, and believes that batch-size and threads do nothing, but for what ``worth`` says."""

    learns = True

    def __init__(self, worth: Mapping[str, float] | None = None, meets: float = 1.0) -> None:
        self.left = [BEST, OTHER]
        self.worth = worth or {}
        self.meets = meets
        self.told: dict[str, Config] = {}
        self.asked = 0

    def propose(self, trial_id: str) -> Config | None:
        return self.left.pop(0) if self.left else None

    def tell(self, trial_id: str, outcome: Outcome) -> None:
        pass

    def replay(self, trial_id: str, config: Config, outcome: Outcome | None) -> None:
        self.told[trial_id] = config
        self.left = [one for one in self.left if one != config]

    def expected_gains(self, config: Config, others: Sequence[Config]) -> Sequence[GainBelief] | None:
        self.asked += 1
        found = []
        for other in others:
            back = [name for name, value in config.values.items() if other.values.get(name) != value]
            gain = sum(self.worth.get(name, 0.5 if name == "ubatch-size" else 0.0) for name in back)
            found.append(GainBelief(gain, gain - 0.1, gain + 0.1, 1.0, self.meets))
        return found


class Silent(Believer):
    def expected_gains(self, config: Config, others: Sequence[Config]) -> Sequence[GainBelief] | None:
        return None


def given(**changed: Any) -> Rules:
    base = dataclasses.replace(rules(trials=5, rungs=1, confirm=1, max_running=1), baseline=DEFAULT)
    return dataclasses.replace(base, **{"finalists": 3, "put_back": True, **changed})


def conductor(
    proposer: Believer, known: Sequence[KnownTrial] = (), budget: Budget | None = None, **changed: Any
) -> Conductor:
    put_back = PutBack(STUDY, build_space(STUDY))
    return Conductor(given(**changed), proposer, budget or Budget(), known, put_back=put_back)


def played(
    proposer: Believer, known: Sequence[KnownTrial] = (), *, failing: str = "", slo_met: bool = True, **changed: Any
) -> dict[str, Assignment]:
    """All that is started, by id, each measured as ``VALUES`` says."""
    conducts = conductor(proposer, known, **changed)
    started: dict[str, Assignment] = {}
    while isinstance(decision := conducts.next(Spent()), Assignment):
        started[decision.trial_id] = decision
        if decision.trial_id == failing:
            conducts.trial_ended(decision.trial_id, TrialState.FAILED, Failure.CRASH)
            continue
        measured = score(VALUES[decision.config], slo_met=slo_met)
        conducts.rung_ended(report(decision.trial_id, 0, measured, last=True))
        conducts.trial_ended(decision.trial_id, TrialState.COMPLETED, None)
    return started


def test_what_seems_to_do_nothing_is_put_back_together_measured_and_confirmed() -> None:
    proposer = Believer()
    found = played(proposer)
    assert [*found][:4] == ["0000", "0001", "0002", "0003"]
    assert (found["0003"].phase, found["0003"].config, found["0003"].rungs) == (Phase.PUT_BACK, PLAIN, 1)
    assert "0003-c1" in found, "it is a finalist"
    assert proposer.told["0003"] == PLAIN


def test_the_plainer_one_is_chosen() -> None:
    proposer = Believer()
    conducts = conductor(proposer)
    while isinstance(decision := conducts.next(Spent()), Assignment):
        conducts.rung_ended(report(decision.trial_id, 0, VALUES[decision.config], last=True))
        conducts.trial_ended(decision.trial_id, TrialState.COMPLETED, None)
    pair = conducts.confirmation.winner()
    assert pair is not None
    assert pair[0].config == PLAIN


def test_a_setting_that_is_worth_something_stays() -> None:
    assert played(Believer({"threads": 0.02}))["0003"].config == HALF


def test_where_every_setting_is_worth_something_nothing_is_measured() -> None:
    found = played(Believer({"threads": 0.02, "batch-size": 0.02}))
    assert not any(a.phase is Phase.PUT_BACK for a in found.values())


def test_two_that_do_nothing_alone_may_be_worth_something_together() -> None:
    """Each loses less than anybody would feel, and both more."""
    found = played(Believer({"threads": 0.004, "batch-size": 0.003}))
    assert len(dict(found["0003"].config.values).items() - BEST.values.items()) == 1


@pytest.mark.parametrize(
    "changed",
    [{"put_back": False}, {"finalists": 1}, {"finalists": None}, {"confirm": 0}, {"trials": 3}],
    ids=str,
)
def test_none_is_measured_that_could_be_no_finalist_or_has_no_trial_left(changed: dict[str, Any]) -> None:
    assert not any(a.phase is Phase.PUT_BACK for a in played(Believer(), **changed).values())


def test_none_is_measured_without_beliefs_or_where_slos_are_less_likely_to_hold_or_do_not() -> None:
    for proposer in (Silent(), Believer(meets=0.9)):
        assert not any(a.phase is Phase.PUT_BACK for a in played(proposer).values())
    assert not any(a.phase is Phase.PUT_BACK for a in played(Believer(), slo_met=False).values())


def test_none_is_measured_where_the_budget_has_no_room_for_more_than_the_confirmation() -> None:
    conducts = conductor(Believer(), budget=Budget(wall_s=100.0))
    phases = []
    for spent in (0.0, 10.0, 20.0, 85.0):
        decision = conducts.next(Spent(wall_s=spent))
        assert isinstance(decision, Assignment)
        phases.append(decision.phase)
        conducts.rung_ended(report(decision.trial_id, 0, VALUES[decision.config], last=True))
        conducts.trial_ended(decision.trial_id, TrialState.COMPLETED, None)
    assert phases == [Phase.BASELINE, Phase.SEARCH, Phase.SEARCH, Phase.CONFIRM]


def test_what_was_measured_already_is_not_measured_again_but_is_a_finalist() -> None:
    proposer = Believer()
    proposer.left = [BEST, PLAIN]
    found = played(proposer)
    assert not any(a.phase is Phase.PUT_BACK for a in found.values())
    assert "0002-c1" in found


class Learning(Believer):
    """Once it was told of PLAIN it knows that threads are worth something."""

    def replay(self, trial_id: str, config: Config, outcome: Outcome | None) -> None:
        super().replay(trial_id, config, outcome)
        if config == PLAIN:
            self.worth = {"threads": 0.2}


def test_one_that_is_seen_to_lose_is_followed_by_one_more_and_no_third() -> None:
    found = played(Learning(), failing="0003")
    assert [(a.trial_id, a.config) for a in found.values() if a.phase is Phase.PUT_BACK] == [
        ("0003", PLAIN),
        ("0004", HALF),
    ]
    again = played(Learning(), failing="0003", trials=9)
    assert sum(a.phase is Phase.PUT_BACK for a in again.values()) == 2


def as_known(assignment: Assignment, state: TrialState = TrialState.COMPLETED) -> KnownTrial:
    scores = (score(VALUES[assignment.config]),) if state is TrialState.COMPLETED else ()
    return KnownTrial(assignment.trial_id, assignment.phase, assignment.config, state, None, scores, 10.0)


@pytest.mark.parametrize("dead_after", range(7))
def test_after_any_death_the_same_is_still_to_do(dead_after: int) -> None:
    whole = played(Believer())
    assert len(whole) >= 6
    done = [as_known(a) for a in list(whole.values())[:dead_after]]
    assert [*played(Believer(), done)] == [*whole][dead_after:]


def test_one_that_was_cut_is_gone_on_with() -> None:
    whole = [*played(Believer()).values()]
    cut = [*(as_known(a) for a in whole[:3]), as_known(whole[3], TrialState.RUNNING)]
    proposer = Believer()
    assert next(iter(played(proposer, cut))) == "0003"
    assert proposer.told["0003"] == PLAIN


def test_once_settings_were_put_back_nothing_more_is_proposed() -> None:
    whole = [*played(Believer()).values()]
    done = [as_known(a) for a in whole[:4]]
    proposer = Believer()
    proposer.left = [BEST, OTHER, Config({"ubatch-size": 256, "batch-size": 512, "threads": 3})]
    assert not any(a.phase is Phase.SEARCH for a in played(proposer, done, trials=9).values())


def test_the_searcher_is_not_asked_again_before_anything_has_changed() -> None:
    explored = [as_known(a) for a in played(Believer(), put_back=False).values() if "-" not in a.trial_id]
    believer = Believer({"threads": 0.02, "batch-size": 0.02})
    conducts = conductor(believer, explored)
    assert isinstance(conducts.next(Spent()), Assignment)
    asked = believer.asked
    assert asked > 0
    assert conducts.next(Spent()) is Pause.WAIT
    assert believer.asked == asked
