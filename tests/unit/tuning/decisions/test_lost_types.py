"""A study over two GPU types of which one is busy, sick or lost goes on with the other, and ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from autotuner.errors import Failure
from autotuner.results.records import TrialState
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.pause import Pause
from autotuner.tuning.decisions.placement_policy import Need, Node, Share
from autotuner.tuning.proposers import OutcomeKind
from tests.tuning_parts import CountingProposer, report, rules

H100, L40S = "H100", "L40S"
DEFAULTS = (Config({"default": True}), Config({"default": "other"}))


def need_of(config: Config) -> Need:
    """Of every two proposals one is for each type."""
    is_first = config == DEFAULTS[0] or config.values.get("n", 1) % 2 == 0
    return Need((Share(1, 1.0),), H100 if is_first else L40S)


class TwoTypes:
    def __init__(self, *, learns: bool = True, trials: int = 12, size: int = 1000) -> None:
        self.nodes = {name: Node(name, kind, 1, 8.0, 1, 8.0) for name, kind in (("h", H100), ("l", L40S))}
        given = replace(rules(trials=trials, rungs=1, confirm=0, max_running=None), more_baselines=DEFAULTS[1:])
        self.proposer = CountingProposer(learns=learns, size=size)
        self.conductor = Conductor(given, self.proposer, Budget(), (), need_of)
        self.running: dict[str, Assignment] = {}
        self.done: list[str] = []
        self.measured: list[object] = []  # "n" of each Config, or "default"
        self.now_s = 0.0

    def free(self) -> Sequence[Node]:
        busy = {node_id for assignment in self.running.values() for node_id in assignment.nodes}
        return [replace(n, free_gpus=0) if n.node_id in busy else n for n in self.nodes.values()]

    def start_all(self) -> Pause:
        while True:
            self.conductor.newly_sick(self.free())
            decision = self.conductor.next(Spent(wall_s=self.now_s), self.free())
            if isinstance(decision, Pause):
                return decision
            self.running[decision.trial_id] = decision

    def complete(self, trial_id: str) -> None:
        self.measured.append(self.running.pop(trial_id).config.values.get("n", "default"))
        self.conductor.rung_ended(report(trial_id, 0, 1.0, last=True))
        self.conductor.trial_ended(trial_id, TrialState.COMPLETED, None)
        self.done.append(trial_id)

    def lose(self, node_id: str) -> None:
        del self.nodes[node_id]
        for trial_id in [t for t, assignment in self.running.items() if node_id in assignment.nodes]:
            del self.running[trial_id]
            assert self.conductor.repeats(trial_id, None)

    def run_to_its_end(self) -> Pause:
        for _ in range(1000):
            pause = self.start_all()
            if pause is not Pause.WAIT:
                return pause
            for trial_id in list(self.running):
                self.complete(trial_id)
            self.now_s += 10.0
        raise AssertionError("it waits for ever")


def types_of(world: TwoTypes, trial_ids: Sequence[str]) -> list[str]:
    config_of = dict(world.proposer.proposed)
    return [need_of(config_of[trial_id]).accelerator for trial_id in trial_ids if trial_id in config_of]


@pytest.mark.parametrize("learns", [True, False])
def test_a_baseline_that_waits_for_its_type_holds_up_no_other_type(learns: bool) -> None:
    world = TwoTypes(learns=learns)
    world.nodes["l"] = replace(world.nodes["l"], free_gpus=0)  # another job has it
    for _ in range(4):
        assert world.start_all() is Pause.WAIT
        [trial_id] = world.running
        world.complete(trial_id)
    assert world.done[0] == "0000"
    assert types_of(world, world.done) == [H100] * 3
    world.nodes["l"] = replace(world.nodes["l"], free_gpus=1)
    world.start_all()
    assert "0001" in world.running, "its turn comes before any other of its type"


def test_trials_of_one_type_wait_until_its_baseline_has_begun() -> None:
    world = TwoTypes()
    world.nodes["h"] = replace(world.nodes["h"], free_gpus=0)
    world.start_all()
    assert list(world.running) == ["0001"]


def test_a_type_lost_during_its_baseline_leaves_the_search_to_the_other_one() -> None:
    world = TwoTypes()
    world.start_all()
    world.lose("l")
    assert world.run_to_its_end() is Pause.NO_PLACE, "what has begun on it can go on when there is one"
    assert len(world.done) >= 5
    assert set(types_of(world, world.done)) == {H100}


def test_a_type_lost_during_the_search_costs_no_trial_of_the_other_one() -> None:
    world = TwoTypes(trials=40)
    world.start_all()
    for trial_id in ("0000", "0001"):
        world.complete(trial_id)
    del world.nodes["l"]
    assert world.run_to_its_end() is Pause.FINISHED
    assert len(world.done) == 2 + 40 - 2 - 8, "all but the few that waited for it to come back"
    assert set(types_of(world, world.done)) == {H100}
    unknown = [outcome.kind for _, outcome in world.proposer.told if outcome.kind is OutcomeKind.UNKNOWN]
    assert unknown, "a searcher learns nothing from a node that is gone"
    assert "no node is left" in world.conductor.stop_reason


def test_of_a_list_what_fitted_no_node_is_measured_when_one_joins() -> None:
    world = TwoTypes(learns=False, trials=12, size=10)
    late = world.nodes.pop("l")
    for _ in range(3):
        world.start_all()
        for trial_id in list(world.running):
            world.complete(trial_id)
    assert len(world.conductor.refused) == 5
    world.nodes["l"] = late
    assert world.run_to_its_end() is Pause.FINISHED
    assert len(world.done) == len(set(world.done)) == 12
    assert sorted(world.measured, key=str) == [*range(10), "default", "default"]


def test_a_list_of_which_nothing_fits_any_more_ends_without_waiting_for_nodes() -> None:
    world = TwoTypes(learns=False, trials=12, size=10)
    del world.nodes["l"]
    assert world.run_to_its_end() in (Pause.FINISHED, Pause.NO_PLACE)
    assert "fits on a node" in world.conductor.stop_reason or "no node is left" in world.conductor.stop_reason


def test_of_a_list_what_has_no_node_any_more_is_let_go_at_the_end() -> None:
    world = TwoTypes(learns=False, trials=12)
    world.start_all()
    for trial_id in list(world.running):
        world.complete(trial_id)
    del world.nodes["l"]
    assert world.run_to_its_end() is Pause.FINISHED
    assert types_of(world, world.done) == [H100] * 5
    assert "no node is left" in world.conductor.stop_reason


def test_a_searcher_that_proposes_nothing_else_is_not_asked_again_and_again() -> None:
    world = TwoTypes(trials=500, size=700)
    world.start_all()
    world.complete("0000")
    del world.nodes["h"]
    world.proposer.proposed.clear()
    world.nodes["l2"] = replace(world.nodes["l"], node_id="l2")
    assert world.run_to_its_end() in (Pause.FINISHED, Pause.NO_PLACE)
    assert len(world.proposer.proposed) < 700 + 700


def test_the_last_node_of_a_type_is_never_closed() -> None:
    world = TwoTypes()
    world.start_all()
    for _ in range(4):
        trial_id = next(t for t, assignment in world.running.items() if assignment.nodes == ("l",))
        del world.running[trial_id]
        world.conductor.repeats(trial_id, Failure.INFRASTRUCTURE)
        world.start_all()
        trial_id = next(t for t, assignment in world.running.items() if assignment.nodes == ("l",))
        world.complete(trial_id)
        assert world.conductor.newly_sick(world.free()) == []
        world.start_all()


@pytest.mark.parametrize("closed", ["draining", "sick"])
def test_a_trial_does_not_wait_for_a_closed_node_to_spare_one_it_was_lost_on(closed: str) -> None:
    world = TwoTypes()
    world.nodes["h2"] = replace(world.nodes["h"], node_id="h2", open=closed != "draining")
    world.start_all()
    if closed == "sick":
        for trial_id in [t for t, a in world.running.items() if a.nodes == ("h2",)]:
            del world.running[trial_id]
            world.conductor.repeats(trial_id, Failure.INFRASTRUCTURE)
        world.start_all()
        for trial_id in [t for t, a in world.running.items() if a.nodes == ("h2",)]:
            del world.running[trial_id]
            world.conductor.repeats(trial_id, Failure.INFRASTRUCTURE)
        assert world.conductor.newly_sick(world.free()) == [], "it may be everywhere"
        world.complete(next(t for t, assignment in world.running.items() if assignment.nodes == ("l",)))
        assert [q.node_id for q in world.conductor.newly_sick(world.free())] == ["h2"]
        world.start_all()
    lost = next(t for t, assignment in world.running.items() if assignment.nodes == ("h",))
    del world.running[lost]
    assert world.conductor.repeats(lost, None)
    world.start_all()
    assert any(assignment.nodes == ("h",) for assignment in world.running.values())
