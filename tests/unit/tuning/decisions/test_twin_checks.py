"""Like nodes measure the default before they get a trial; the slow one of them gets none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from autotuner.errors import Failure
from autotuner.results.records import Phase, TrialState
from autotuner.scoring import parse_objective
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.followed_trial import KnownTrial
from autotuner.tuning.decisions.pause import Pause
from autotuner.tuning.decisions.placement_policy import Need, Node, Share
from autotuner.tuning.decisions.twin_checks import TwinChecks
from tests.tuning_parts import CountingProposer, infeasible, report, rules, score

FAST_MS, SLOW_MS = 10.0, 13.0


def need_of(config: Config) -> Need:
    return Need((Share(1, 1.0),))


class Nodes:
    """A cluster of nodes of one GPU each, in which each has its own latency."""

    def __init__(
        self, latency_ms: dict[str, float], *, trials: int = 40, per_node: int | None = 10, at_once: int | None = None
    ) -> None:
        self.latency_ms = latency_ms
        self.nodes = {name: Node(name, "H100", 1, 8.0, 1, 8.0) for name in latency_ms}
        given = replace(rules(trials=trials, rungs=3, confirm=0, max_running=at_once), trials_per_checked_node=per_node)
        self.conductor = Conductor(given, CountingProposer(), Budget(), (), need_of)
        self.running: dict[str, Assignment] = {}

    def free(self) -> list[Node]:
        busy = {node_id for assignment in self.running.values() for node_id in assignment.nodes}
        return [replace(n, free_gpus=0) if n.node_id in busy else n for n in self.nodes.values()]

    def start_all(self) -> dict[str, str]:
        """Trial id → node of all that was started now; quarantines are asked for as the driver does."""
        started: dict[str, str] = {}
        while True:
            self.sick = [*getattr(self, "sick", []), *self.conductor.newly_sick(self.free())]
            decision = self.conductor.next(Spent(), self.free())
            if isinstance(decision, Pause):
                return started
            self.running[decision.trial_id] = decision
            [started[decision.trial_id]] = decision.nodes

    def end(self, trial_id: str, latency_ms: float | None = None) -> None:
        """Ends it after its first rung with its node's latency."""
        assignment = self.running.pop(trial_id)
        [node] = assignment.nodes
        self.conductor.rung_ended(report(trial_id, 0, latency_ms or self.latency_ms[node]))
        assert self.conductor.must_stop(trial_id, Spent()) is (assignment.phase is Phase.NODE_CHECK)
        self.conductor.trial_ended(trial_id, TrialState.STOPPED, None)


def test_like_nodes_measure_the_default_first_and_then_get_trials() -> None:
    world = Nodes({"a": FAST_MS, "b": 11.0})
    checks = world.start_all()
    assert checks == {"0000-n1": "a", "0000-n2": "b"}
    assert {world.running[check].config for check in checks} == {Config({"default": True})}
    world.end("0000-n1")
    assert world.start_all() == {}, "the one node waits for the other"
    world.end("0000-n2")
    assert set(world.start_all()) == {"0000", "0001"}
    assert world.sick == []


def test_a_node_that_is_slower_twice_gets_no_trial() -> None:
    world = Nodes({"a": FAST_MS, "b": SLOW_MS, "c": 10.5})
    for check in world.start_all():
        world.end(check)
    started = world.start_all()
    assert started["0000-n4"] == "b", "measured again before it is believed"
    assert sorted(started.values()) == ["a", "b", "c"], "its twins are searching meanwhile"
    world.end("0000-n4")
    for trial_id in [trial_id for trial_id in started if trial_id in world.running]:
        world.end(trial_id)
    assert set(world.start_all().values()) == {"a", "c"}
    [quarantine] = world.sick
    assert quarantine.node_id == "b"
    assert quarantine.reason == (
        "slower than its twins: ttft_p90 of the default was 13 on it and 10.25 on its twins, 2 times in a row"
    )


def test_a_node_that_was_slow_once_by_chance_gets_trials() -> None:
    world = Nodes({"a": FAST_MS, "b": FAST_MS})
    world.start_all()
    world.end("0000-n1")
    world.end("0000-n2", SLOW_MS)
    assert world.start_all()["0000-n3"] == "b"
    world.end("0000-n3")
    assert world.start_all()
    assert not world.sick


def test_the_last_node_is_kept_however_slow() -> None:
    world = Nodes({"a": FAST_MS, "b": SLOW_MS})
    for check in world.start_all():
        world.end(check)
    started = world.start_all()
    del world.nodes["a"]
    world.end("0000-n3")
    for trial_id in set(started) & set(world.running):
        world.end(trial_id)
    assert set(world.start_all().values()) == {"b"}
    assert not world.sick


@pytest.mark.parametrize(
    ("nodes", "trials", "per_node"),
    [({"a": FAST_MS}, 40, 10), ({"a": FAST_MS, "b": FAST_MS}, 19, 10), ({"a": FAST_MS, "b": FAST_MS}, 40, None)],
    ids=["no twin", "not worth it", "never"],
)
def test_nothing_is_checked_without_a_reason(nodes: dict[str, float], trials: int, per_node: int | None) -> None:
    assert "0000" in Nodes(nodes, trials=trials, per_node=per_node).start_all()


@pytest.mark.parametrize("other", [{"accelerator": "A100"}, {"gpus": 8}, {"cpus": 64.0}, {"accelerator": ""}], ids=str)
def test_only_nodes_with_the_same_gpus_are_twins(other: dict[str, Any]) -> None:
    world = Nodes({"a": FAST_MS, "b": FAST_MS})
    world.nodes["b"] = replace(world.nodes["b"], **other)
    if other == {"accelerator": ""}:
        world.nodes["a"] = replace(world.nodes["a"], accelerator="")
    assert "0000" in world.start_all()


def test_a_node_that_joins_later_is_compared_with_those_that_are_there() -> None:
    world = Nodes({"a": FAST_MS, "b": FAST_MS})
    for check in world.start_all():
        world.end(check)
    world.start_all()
    world.nodes["c"] = replace(world.nodes["a"], node_id="c")
    world.latency_ms["c"] = SLOW_MS
    assert world.start_all() == {"0000-n3": "c"}
    world.end("0000-n3")
    assert world.start_all() == {"0000-n4": "c"}
    world.end("0000-n4")
    assert world.start_all() == {}
    assert [quarantine.node_id for quarantine in world.sick] == ["c"]


def test_a_check_without_a_score_holds_nothing_against_a_node() -> None:
    world = Nodes({"a": FAST_MS, "b": FAST_MS})
    world.start_all()
    world.end("0000-n1")
    del world.running["0000-n2"]
    world.conductor.rung_ended(report("0000-n2", 0, infeasible(), failure=Failure.CRASH))
    world.conductor.trial_ended("0000-n2", TrialState.FAILED, Failure.CRASH)
    assert len(world.start_all()) == 2
    assert not world.sick


def test_the_loss_of_a_checks_process_is_not_made_good_elsewhere() -> None:
    world = Nodes({"a": FAST_MS, "b": FAST_MS})
    world.start_all()
    assert not world.conductor.repeats("0000-n1", None)


def test_a_node_that_is_lost_during_its_check_keeps_no_other_waiting() -> None:
    world = Nodes({"a": FAST_MS, "b": FAST_MS})
    world.start_all()
    world.end("0000-n1")
    del world.nodes["b"], world.running["0000-n2"]
    world.conductor.trial_ended("0000-n2", TrialState.FAILED, Failure.INFRASTRUCTURE)
    assert set(world.start_all().values()) == {"a"}


def test_a_twin_whose_gpu_others_hold_keeps_none_waiting() -> None:
    world = Nodes({"a": FAST_MS, "b": FAST_MS})
    world.nodes["b"] = replace(world.nodes["b"], free_gpus=0)
    assert world.start_all() == {"0000-n1": "a"}
    world.end("0000-n1")
    assert set(world.start_all().values()) == {"a"}


def test_checks_run_one_by_one_where_trials_do() -> None:
    world = Nodes({"a": FAST_MS, "b": FAST_MS}, at_once=1)
    assert set(world.start_all()) == {"0000-n1"}
    world.end("0000-n1")
    assert set(world.start_all()) == {"0000-n2"}
    world.end("0000-n2")
    assert set(world.start_all()) == {"0000"}


def test_checks_of_an_earlier_life_are_not_gone_on_with_and_their_names_not_used_again() -> None:
    known = [
        KnownTrial("0000-n1", Phase.NODE_CHECK, Config({"default": True}), state, None, (score(1.0),), 10.0, 1)
        for state in (TrialState.RUNNING,)
    ]
    given = replace(rules(trials=40, confirm=0, max_running=None), trials_per_checked_node=10)
    nodes = [Node(name, "H100", 1, 8.0, 1, 8.0) for name in ("a", "b")]
    first = Conductor(given, CountingProposer(), Budget(), known, need_of).next(Spent(), nodes)
    assert isinstance(first, Assignment)
    assert first.trial_id == "0000-n2"


def test_a_node_at_exactly_four_fifths_of_its_twins_is_not_slow() -> None:
    """10 ms against 12.5 ms; a little slower is measured once more."""
    world = Nodes({"a": FAST_MS, "b": 12.5})
    for check in world.start_all():
        world.end(check)
    assert "0000-n3" not in world.start_all()
    assert not world.sick
    world = Nodes({"a": FAST_MS, "b": 12.6})
    for check in world.start_all():
        world.end(check)
    assert world.start_all()["0000-n3"] == "b"


def test_a_node_whose_type_has_no_default_is_not_checked() -> None:
    world = Nodes({"a": FAST_MS, "b": FAST_MS})
    checks = TwinChecks(
        [Config({})],
        lambda _: Need((Share(1, 1.0),), "A100"),
        parse_objective("ttft_p90"),
        trials_per_node=1,
    )
    assert checks.look(world.free(), 40) == []
    assert checks.undecided == frozenset()
