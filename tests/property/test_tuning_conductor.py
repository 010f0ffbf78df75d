"""Whatever happens to its trials, over two lives: no trial too many, no id twice, always an end."""

from __future__ import annotations

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from autotuner.errors import Failure
from autotuner.results.records import Phase, TrialState
from autotuner.scoring import Score
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.followed_trial import KnownTrial
from autotuner.tuning.decisions.pause import Pause
from tests.tuning_parts import CountingProposer, infeasible, report, rules, score

SCORES = st.one_of(st.floats(0, 1e6), st.just(float("nan"))).map(lambda v: score(v) if v == v else infeasible())


class World:
    """Trials as they run on a machine, driven by hypothesis, with the store that a resume reads."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = data.draw
        self.trials = self.draw(st.integers(1, 6), "trials")
        self.rungs = self.draw(st.integers(1, 3), "rungs")
        self.confirm = self.draw(st.integers(0, 2), "confirm")
        self.finalists = self.draw(st.sampled_from([None, 1, 2, 3]), "finalists")
        self.size = self.draw(st.integers(0, 8), "size of the space")
        self.max_running = self.draw(st.sampled_from([1, 2, 4, None]), "max_running")
        self.wall_s = self.draw(st.sampled_from([None, 60.0, 400.0]), "wall_s")
        self.now_s = 0.0
        self.stored: dict[str, tuple[Assignment, TrialState, Failure | None, list[Score]]] = {}

    def life(self, most_events: int) -> bool:
        """Runs until the study is over, or until a kill after ``most_events``; returns whether it was over."""
        self.now_s = 0.0
        known = [
            KnownTrial(i, a.phase, a.config, state, failure, tuple(scores), 10.0)
            for i, (a, state, failure, scores) in self.stored.items()
        ]
        proposer = CountingProposer(self.size)
        given_rules = rules(trials=self.trials, rungs=self.rungs, confirm=self.confirm, max_running=self.max_running)
        given_rules = dataclasses.replace(given_rules, finalists=self.finalists)
        conductor = Conductor(given_rules, proposer, Budget(wall_s=self.wall_s), known)
        running: list[str] = []
        handed_out: list[str] = []
        for _ in range(most_events):
            decision = conductor.next(Spent(wall_s=self.now_s))
            if decision is Pause.FINISHED:
                assert not running
                return True
            if isinstance(decision, Assignment):
                self._start(decision, handed_out)
                running.append(decision.trial_id)
                assert self.max_running is None or len(running) <= self.max_running
            else:
                assert running, "waits for nothing"
            if running and (decision is Pause.WAIT or self.draw(st.booleans(), "something happens")):
                trial_id = self.draw(st.sampled_from(running), "to")
                if self._something_happens(conductor, trial_id):
                    running.remove(trial_id)
        return False

    def _start(self, assignment: Assignment, handed_out: list[str]) -> None:
        trial_id = assignment.trial_id
        assert trial_id not in handed_out
        handed_out.append(trial_id)
        before = self.stored.get(trial_id)
        if before is not None:
            assert not before[1].is_terminal
            assert before[0] == assignment, "an old trial under another Config"
        # A kill may come before a trial's first write, so some are never stored.
        elif self.draw(st.integers(0, 9), "is stored") > 0:
            self.stored[trial_id] = (assignment, TrialState.RUNNING, None, [])

    def _something_happens(self, conductor: Conductor, trial_id: str) -> bool:
        """A rung ends, or the trial does in another way; returns whether the trial is over."""
        self.now_s += 10
        assignment = next(a for a in conductor.running() if a.trial_id == trial_id)
        _, _, _, scores = self.stored.get(trial_id, (assignment, TrialState.RUNNING, None, []))
        how = self.draw(st.sampled_from(["rung", "rung", "stop", *Failure]), "how")
        if how == "rung":
            last = len(scores) == assignment.rungs - 1
            ended = report(trial_id, len(scores), self.draw(SCORES, "score"), last=last, reserved_s=10.0)
            for rung, old in enumerate(scores):  # an earlier life's rungs are reported again
                conductor.rung_ended(report(trial_id, rung, old))
            conductor.rung_ended(ended)
            assert ended.score is not None
            scores.append(ended.score)
            must_stop = conductor.must_stop(trial_id, Spent(wall_s=self.now_s))
            assert not (must_stop and self.wall_s is None)
            if not (last or must_stop):
                return False
            state, failure = (TrialState.COMPLETED if last else TrialState.STOPPED), None
        else:
            state = TrialState.STOPPED if how == "stop" else TrialState.FAILED
            failure = None if how == "stop" else Failure(how)
        conductor.trial_ended(trial_id, state, failure)
        if trial_id in self.stored:
            self.stored[trial_id] = (assignment, state, failure, scores)
        return True


MOST_IN_VAIN = 8  # for each trial that counts: five in a row, and those that run meanwhile


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_any_study_ends_within_its_budget_of_trials_in_any_number_of_lives(data: st.DataObject) -> None:
    world = World(data)
    for _ in range(data.draw(st.integers(0, 2), "kills")):
        world.life(data.draw(st.integers(0, 20), "events before the kill"))
    assert world.life(1000), "no end"
    counted = [(assignment, failure) for assignment, _, failure, _ in world.stored.values()]
    assert sum(assignment.phase.counts(failure) for assignment, failure in counted) <= world.trials
    searched = sum(assignment.phase is not Phase.CONFIRM for assignment, _ in counted)
    assert searched <= MOST_IN_VAIN * (world.trials + 1), "a client that is always too slow ends the search"
    configs: list[Config] = [a.config for a, *_ in world.stored.values() if a.phase is Phase.SEARCH]
    assert len(configs) == len(set(configs)), "a Config searched twice"
    assert all(state.is_terminal for _, state, _, _ in world.stored.values())
