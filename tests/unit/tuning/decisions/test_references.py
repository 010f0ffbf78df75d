"""When the default is measured again while a search goes on, and what of a study's trials that shows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import pytest

from autotuner.errors import Failure
from autotuner.metrics import LoadKind, LoadLevel
from autotuner.results.records import Phase, TrialState
from autotuner.scoring import PointScore, Score
from autotuner.scoring.shifted import without_shift
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.followed_trial import Followed, KnownTrial
from autotuner.tuning.decisions.pause import Pause
from autotuner.tuning.decisions.probing import Probing
from autotuner.tuning.decisions.references import References
from autotuner.tuning.decisions.rules import Rules
from autotuner.tuning.proposers import Outcome
from tests.scores import LEVEL
from tests.tuning_parts import THROUGHPUT, CountingProposer, infeasible, report, rules, score

DEFAULT = 100.0  # its latency; a searched one's is 90
WHOLE = ["0000", "0001", "0002", "0000-r1", "0003", "0004", "0005", "0000-r2", "0006", "0007"]


SLOWED = {"0000-r2": 130.0, "0000-r2-2": 131.0, "0000-r2-3": 129.0, "0006": 117.0, "0007": 117.0}
SLOWER = (130 * 131 * 129) ** (1 / 3) / 100


@dataclasses.dataclass
class Forgetting(CountingProposer):
    """One that can be told anew."""

    amended: dict[str, Outcome] = dataclasses.field(default_factory=dict)

    def amend(self, trial_id: str, outcome: Outcome) -> None:
        self.amended[trial_id] = outcome


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
    proposer: CountingProposer | None = None,
) -> list[str]:
    """What is started, each trial after another; each takes ten seconds."""
    study = Conductor(given, proposer or CountingProposer(), budget or Budget(), known)
    order: list[str] = []
    while isinstance(decision := study.next(Spent(wall_s=10.0 * len(order))), Assignment):
        order.append(decision.trial_id)
        if failure := (failing or {}).get(decision.trial_id):
            study.trial_ended(decision.trial_id, TrialState.FAILED, failure)
            continue
        ended = report(decision.trial_id, 0, value_of(decision.trial_id, values or {}), last=True)
        study.rung_ended(dataclasses.replace(ended, ended_s=10.0 * len(order), node="host/1"))
        study.trial_ended(decision.trial_id, TrialState.COMPLETED, None)
    assert decision is Pause.FINISHED
    return order


def known(trial_id: str, values: Mapping[str, float], ended_s: float = 0.0) -> KnownTrial:
    is_default = trial_id.startswith("0000")
    phase = Phase.REFERENCE if "-r" in trial_id else Phase.BASELINE if is_default else Phase.SEARCH
    config = rules().baseline if is_default else Config({"n": int(trial_id) - 1})
    scores = (score(value_of(trial_id, values)),)
    done = KnownTrial(trial_id, phase, config, TrialState.COMPLETED, None, scores, 10.0)
    return dataclasses.replace(done, ended_s=ended_s, node="host/1")


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


# ── what is made of a shift ───────────────────────────────────────────────────────────────────


def told_as(value: float) -> float:
    """What a searcher is told of a trial of that latency."""
    trial = Followed(Assignment("0001", Phase.SEARCH, Config({}), 1), [score(value)], TrialState.COMPLETED)
    (told,) = trial.outcome(every()).values
    return told


def test_a_searcher_hears_what_a_machine_that_stayed_as_it_was_would_have_shown() -> None:
    proposer = CountingProposer()
    assert goes_on(every(), SLOWED, proposer=proposer)[7:10] == ["0000-r2", "0000-r2-2", "0000-r2-3"]
    told = {trial_id: outcome.values[0] for trial_id, outcome in proposer.told}
    assert told["0005"] == pytest.approx(told_as(90.0)), "nothing was known of a shift then"
    assert told["0006"] == told["0007"] == pytest.approx(told_as(117.0 / SLOWER))


def test_one_that_can_forget_is_told_anew_of_trials_since_the_last_run_before_the_shift() -> None:
    """0003 to 0005 ended 10, 20 and 30 s after that, of 40."""
    proposer = Forgetting()
    goes_on(every(), SLOWED, proposer=proposer)
    shares = {"0003": 0.25, "0004": 0.5, "0005": 0.75}
    assert {trial_id: outcome.values[0] for trial_id, outcome in proposer.amended.items()} == {
        trial_id: pytest.approx(told_as(90.0 / SLOWER**share)) for trial_id, share in shares.items()
    }


def test_in_a_new_life_it_hears_the_same() -> None:
    order = goes_on(every(), SLOWED)
    done = [known(trial_id, SLOWED, 10.0 * at) for at, trial_id in enumerate(order[:-1], 1)]
    proposer = CountingProposer()
    assert goes_on(every(), SLOWED, sorted(done, key=lambda t: t.trial_id, reverse=True), proposer=proposer) == ["0007"]
    told = {trial_id: outcome.values[0] for trial_id, _, outcome in proposer.replayed if outcome is not None}
    assert told["0002"] == pytest.approx(told_as(90.0))
    assert told["0004"] == pytest.approx(told_as(90.0 / SLOWER**0.5))
    assert told["0006"] == pytest.approx(told_as(117.0 / SLOWER))


def test_the_best_is_the_best_of_a_machine_that_stayed_as_it_was() -> None:
    """0006 took 110 ms when all took 1.3 times as long, 0001 took 89 before; the others were worse."""
    worse = {f"000{number}": 130.0 for number in (2, 3, 4, 5, 7)}
    values = {**SLOWED, **worse, "0006": 110.0, "0001": 89.0}
    order = goes_on(dataclasses.replace(every(confirm=1), finalists=1), values)
    assert order[-2:] == ["0006-c1", "0000-c1"]


def test_a_trial_is_not_stopped_for_what_the_machine_lost() -> None:
    def shown(low: float, high: float) -> Score:
        point = PointScore(LEVEL, "throughput", (low + high) / 2, 0.0, True, True, interval=(low, high))
        return Score(point.score, True, True, LEVEL, point.value, {"throughput": 0.0}, points=(point,))

    def lifted(trial: Followed) -> Score:
        return without_shift(trial.scores[-1], (math.log(1 / 1.3) if trial.node else 0.0,), (THROUGHPUT,))

    given = dataclasses.replace(every(), objectives=(THROUGHPUT,), levels=(LEVEL,), stops_early=True)
    best = Followed(Assignment("0000", Phase.BASELINE, Config({}), 1), [shown(99, 101)], TrialState.COMPLETED)
    slowed = Followed(Assignment("0001", Phase.SEARCH, Config({}), 3), [shown(76, 78)], node="slow")
    trials = {"0000": best, "0001": slowed}
    assert Probing(trials, given).is_clearly_worse(slowed)
    assert not Probing(trials, given, lifted).is_clearly_worse(slowed)
