"""When the default is measured again while a search goes on, and what of a study's trials that shows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import pytest

from autotuner.errors import Failure
from autotuner.metrics import LoadKind, LoadLevel
from autotuner.results.records import Phase, TrialState
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.followed_trial import Followed, KnownTrial
from autotuner.tuning.decisions.pause import Pause
from autotuner.tuning.decisions.references import References
from autotuner.tuning.decisions.rules import Rules
from tests.scores import LEVEL
from tests.tuning_parts import CountingProposer, infeasible, report, rules, score

DEFAULT = 100.0  # its latency; a searched one's is 90
WHOLE = ["0000", "0001", "0002", "0000-r1", "0003", "0004", "0005", "0000-r2", "0006", "0007"]


def every(number: int | None = 3, trials: int = 8, confirm: int = 0) -> Rules:
    given = rules(trials=trials, rungs=1, confirm=confirm, max_running=1)
    return dataclasses.replace(given, reference_every=number)


def value_of(trial_id: str, values: Mapping[str, float]) -> float:
    return values.get(trial_id, DEFAULT if trial_id.startswith("0000") else 90.0)


def goes_on(
    given: Rules,
    values: Mapping[str, float] | None = None,
    known: Sequence[KnownTrial] = (),
    failing: Mapping[str, Failure] | None = None,
    budget: Budget | None = None,
) -> list[str]:
    """What is started, each trial after another; each takes ten seconds."""
    study = Conductor(given, CountingProposer(), budget or Budget(), known)
    order: list[str] = []
    while isinstance(decision := study.next(Spent(wall_s=10.0 * len(order))), Assignment):
        order.append(decision.trial_id)
        if failure := (failing or {}).get(decision.trial_id):
            study.trial_ended(decision.trial_id, TrialState.FAILED, failure)
            continue
        study.rung_ended(report(decision.trial_id, 0, value_of(decision.trial_id, values or {}), last=True))
        study.trial_ended(decision.trial_id, TrialState.COMPLETED, None)
    assert decision is Pause.FINISHED
    return order


def known(trial_id: str, values: Mapping[str, float]) -> KnownTrial:
    is_default = trial_id.startswith("0000")
    phase = Phase.REFERENCE if "-r" in trial_id else Phase.BASELINE if is_default else Phase.SEARCH
    config = rules().baseline if is_default else Config({"n": int(trial_id) - 1})
    return KnownTrial(trial_id, phase, config, TrialState.COMPLETED, None, (score(value_of(trial_id, values)),), 10.0)


def test_it_is_measured_again_each_time_that_so_many_trials_have_ended() -> None:
    assert goes_on(every()) == WHOLE


def test_there_is_none_where_it_is_off_and_none_after_the_last_trial() -> None:
    assert goes_on(every(None)) == WHOLE[:3] + WHOLE[4:7] + WHOLE[8:]
    assert goes_on(every(4)) == ["0000", "0001", "0002", "0003", "0000-r1", "0004", "0005", "0006", "0007"]
    assert goes_on(every(8)) == [f"000{n}" for n in range(8)]


@pytest.mark.parametrize("dead_after", range(len(WHOLE)))
def test_after_any_death_the_same_is_still_to_do(dead_after: int) -> None:
    done = [known(trial_id, {}) for trial_id in WHOLE[:dead_after]]
    assert goes_on(every(), known=done) == WHOLE[dead_after:]


def test_one_that_was_cut_off_is_gone_on_with() -> None:
    done = [known(trial_id, {}) for trial_id in WHOLE[:4]]
    done[3] = dataclasses.replace(done[3], state=TrialState.RUNNING, scores=())
    assert goes_on(every(), known=done) == WHOLE[3:]


def test_a_reference_that_is_off_is_run_again_at_once() -> None:
    slower = {"0000-r1": 130.0, "0000-r1-2": 131.0, "0000-r1-3": 129.0, "0000-r2": 130.0}
    assert goes_on(every(), slower)[3:8] == ["0000-r1", "0000-r1-2", "0000-r1-3", "0003", "0004"]
    assert goes_on(every(), slower).count("0000-r2") == 1, "it is as slow as it was found to be"
    assert not any(name.startswith("0000-r2-") for name in goes_on(every(), slower))


def test_one_whose_second_run_is_as_before_is_not_run_a_third_time() -> None:
    assert goes_on(every(), {"0000-r1": 107.0})[3:6] == ["0000-r1", "0000-r1-2", "0003"]


def test_what_told_nothing_is_not_run_again() -> None:
    assert goes_on(every(), failing={"0000-r1": Failure.CRASH}) == WHOLE


def test_a_default_that_shows_nothing_is_not_measured_again() -> None:
    assert goes_on(every(), failing={"0000": Failure.CRASH}) == [name for name in WHOLE if "-r" not in name]
    trials = {"0000": Followed(Assignment("0000", Phase.BASELINE, Config({}), 1), [infeasible()], TrialState.COMPLETED)}
    assert References(trials, every(1)).due([]) is None


def test_where_no_trial_is_to_come_any_more_there_is_none() -> None:
    """The search ends after three trials, for want of time: no reference follows."""
    assert goes_on(every(), budget=Budget(wall_s=30.0)) == WHOLE[:3]


def test_one_runs_at_a_time() -> None:
    running = Followed(Assignment("0000-r1", Phase.REFERENCE, Config({}), 1))
    waiting = Assignment("0000-r1", Phase.REFERENCE, Config({}), 1)
    ended = {
        trial_id: Followed(Assignment(trial_id, phase, Config({}), 1), [score(100.0)], TrialState.COMPLETED)
        for trial_id, phase in (("0000", Phase.BASELINE), ("0001", Phase.SEARCH), ("0002", Phase.SEARCH))
    }
    assert References(ended, every()).due([]) == waiting
    assert References(ended, every()).due([waiting]) is None
    assert References({**ended, "0000-r1": running}, every()).due([]) is None


def test_it_measures_the_level_that_the_default_began_with() -> None:
    reference = Assignment("0000-r1", Phase.REFERENCE, Config({}), 1)
    by_levels = dataclasses.replace(every(), levels=(LEVEL,))
    other = LoadLevel(LoadKind.CONCURRENCY, 1)
    for probe, given in ((LEVEL, by_levels), (other, by_levels), (None, every())):
        default = Assignment("0000", Phase.BASELINE, Config({}), 1, probe=probe)
        trials = {"0000": Followed(default, [score(100.0)], TrialState.COMPLETED)}
        assert References(trials, given).begin(reference).only == LEVEL, "else its best, or the highest"
        assert References(trials, given).begin(default) is default


def test_the_drift_is_that_of_the_runs_that_tell_something() -> None:
    values = {"0000": 100.0, "0000-r1": 101.0, "0000-r2": 130.0, "0000-r2-2": 131.0, "0000-r2-3": 129.0}
    trials = {
        trial_id: Followed(
            Assignment(trial_id, Phase.REFERENCE if "-r" in trial_id else Phase.BASELINE, Config({}), 1),
            [score(value)],
            TrialState.COMPLETED,
            ended_s=100.0 * at,
            node="host/1",
        )
        for at, (trial_id, value) in enumerate(values.items())
    }
    (shift,) = References(trials, every()).drift().shifts
    assert (shift.number, shift.node, shift.from_s, shift.to_s) == (2, "host", 100.0, 200.0)
    assert shift.changes[0] == pytest.approx(math.log(math.sqrt(100 * 101) / (130 * 131 * 129) ** (1 / 3)))
    trials["0000-r2-2"].is_disturbed = True
    assert References(trials, every()).drift().shifts == ()
