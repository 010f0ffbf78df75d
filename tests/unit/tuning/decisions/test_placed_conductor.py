"""The conductor on a cluster: what is started where, what is repeated elsewhere, which nodes are closed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from autotuner.errors import Failure
from autotuner.results.records import Phase, TrialState
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.followed_trial import KnownTrial
from autotuner.tuning.decisions.node_health import Quarantine
from autotuner.tuning.decisions.pause import Pause
from autotuner.tuning.decisions.placement_policy import Need, Node, Share
from autotuner.tuning.decisions.rules import Rules
from autotuner.tuning.proposers import OutcomeKind
from tests.tuning_parts import CountingProposer, report, rules, score

NOTHING = Spent()


def need_of(config: Config) -> Need:
    """Config n needs n GPUs; the default needs one."""
    return Need((Share(int(config.values.get("n", 0)) or 1, 1.0),))


class World:
    """A cluster in which what the conductor starts is taken from the nodes until it ends."""

    def __init__(
        self,
        gpus: Sequence[int],
        *,
        given: Rules | None = None,
        proposer: CountingProposer | None = None,
        known: Sequence[KnownTrial] = (),
    ) -> None:
        self.proposer = proposer or CountingProposer()
        self.nodes = {f"node{i}": Node(f"node{i}", "", count, 64.0, count, 64.0) for i, count in enumerate(gpus)}
        open_rules = given or rules(trials=20, max_running=None, confirm=0)
        self.conductor = Conductor(open_rules, self.proposer, Budget(), known, need_of)
        self.running: dict[str, Assignment] = {}

    def free(self) -> list[Node]:
        found = dict(self.nodes)
        for assignment in self.running.values():
            for node_id, share in zip(assignment.nodes, need_of(assignment.config).shares, strict=True):
                if node_id in found:
                    node = found[node_id]
                    found[node_id] = replace(node, free_gpus=node.free_gpus - share.gpus)
        return list(found.values())

    def start(self, spent: Spent = NOTHING) -> Assignment | Pause:
        decision = self.conductor.next(spent, self.free())
        if isinstance(decision, Assignment):
            self.running[decision.trial_id] = decision
        return decision

    def start_all(self) -> list[str]:
        started = []
        while isinstance(decision := self.start(), Assignment):
            started.append(decision.trial_id)
        return started

    def complete(self, trial_id: str, value: float = 1.0) -> None:
        assignment = self.running.pop(trial_id)
        for rung in range(assignment.rungs):
            self.conductor.rung_ended(report(trial_id, rung, value, last=rung == assignment.rungs - 1))
        self.conductor.trial_ended(trial_id, TrialState.COMPLETED, None)

    def fail(self, trial_id: str, failure: Failure | None) -> bool:
        """Ends a trial as it tells to be repeated, or as its process is lost; returns whether it is repeated."""
        del self.running[trial_id]
        return self.conductor.repeats(trial_id, failure)


def trial(world: World, trial_id: str) -> Assignment:
    return world.running[trial_id]


def test_trials_start_as_long_as_something_is_free() -> None:
    world = World([2, 2], proposer=CountingProposer(size=3))
    assert world.start_all() == ["0000", "0001", "0002"], "of one GPU each; the next one needs a whole node"
    assert trial(world, "0000").nodes == trial(world, "0001").nodes, "small ones together, so that a node stays whole"
    world.complete("0002")
    assert world.start_all() == ["0003"]
    assert not any(node.free_gpus for node in world.free())


def test_no_proposal_is_asked_for_while_nothing_is_free() -> None:
    world = World([1, 1])
    world.start_all()
    assert [trial_id for trial_id, _ in world.proposer.proposed] == ["0001"]


def test_of_a_list_the_largest_go_first_once_the_default_runs() -> None:
    listed = CountingProposer(size=5, learns=False)  # 0, 1, 2, 3, 4 GPUs asked for
    world = World([4, 4], proposer=listed, given=rules(trials=6, max_running=None, confirm=0))
    assert world.start_all()[:2] == ["0000", "0005"]
    assert world.running["0005"].config.values["n"] == 4


def test_what_fits_nowhere_is_never_handed_out_and_told_as_infeasible() -> None:
    world = World([2], proposer=CountingProposer(size=6), given=rules(trials=10, max_running=None, confirm=0))
    tried = set()
    for _ in range(30):
        for trial_id in world.start_all():
            tried.add(world.running[trial_id].config.values.get("n"))
        if not world.running:
            break
        world.complete(next(iter(world.running)))
    assert tried == {None, 0, 1, 2}
    assert [config.values["n"] for config in world.conductor.refused] == [3, 4, 5]
    assert [outcome.kind for _, outcome in world.proposer.told].count(OutcomeKind.INFEASIBLE) == 3
    assert world.start() is Pause.FINISHED


def test_a_crash_is_repeated_once_on_another_node_and_then_believed() -> None:
    world = World([1, 1], given=rules(trials=1, max_running=None, confirm=0))
    first = world.start()
    assert isinstance(first, Assignment)
    assert Failure.CRASH in first.repeat_on
    assert Failure.OUT_OF_MEMORY_AT_START not in first.repeat_on, "never repeated"
    assert world.fail("0000", Failure.CRASH)
    second = world.start()
    assert isinstance(second, Assignment)
    assert second.nodes != first.nodes
    assert Failure.CRASH not in second.repeat_on


def test_on_the_only_node_a_crash_is_believed_at_once() -> None:
    first = World([4]).start()
    assert isinstance(first, Assignment)
    assert first.repeat_on == frozenset({Failure.INFRASTRUCTURE, Failure.CLIENT_SATURATED})


def test_a_lost_process_is_started_again_even_on_the_only_node_but_not_for_ever() -> None:
    world = World([1], given=rules(trials=1, max_running=None, confirm=0))
    lives = 0
    while isinstance(world.start(), Assignment):
        lives += 1
        if not world.fail("0000", None):
            break
    assert lives == 4


def test_ended_rungs_of_a_repeated_trial_are_kept() -> None:
    world = World([1, 1], given=rules(trials=1, rungs=2, max_running=None, confirm=0))
    world.start()
    world.conductor.rung_ended(report("0000", 0, 3.0))
    assert world.fail("0000", None)
    world.start()
    world.conductor.rung_ended(report("0000", 0, 99.0))  # told again, from the store
    found = world.conductor.score_of("0000")
    assert found is not None
    assert found.score == 3.0


def test_two_configs_that_got_on_elsewhere_close_the_node_they_failed_on() -> None:
    world = World([4, 4], proposer=CountingProposer(size=3), given=rules(trials=4, max_running=None, confirm=0))
    world.start_all()
    sick = world.running["0000"].nodes[0]
    victims = [trial_id for trial_id, assignment in world.running.items() if assignment.nodes == (sick,)][:2]
    assert len(victims) == 2
    for trial_id in victims:
        world.fail(trial_id, Failure.HANG)
    assert world.conductor.newly_sick(world.free()) == [], "a failure alone may be the Config's own"
    world.start_all()
    for trial_id in victims:
        assert world.running[trial_id].nodes != (sick,)
        world.complete(trial_id)
    [quarantine] = world.conductor.newly_sick(world.free())
    assert quarantine.node_id == sick
    assert world.conductor.newly_sick(world.free()) == [], "told once"
    world.start_all()
    assert all(assignment.nodes != (sick,) for assignment in world.running.values() if assignment.trial_id > "0003")


def test_the_last_open_node_is_never_closed() -> None:
    world = World([8], proposer=CountingProposer(size=3))
    world.start_all()
    for trial_id in list(world.running):
        world.fail(trial_id, Failure.INFRASTRUCTURE)
    assert world.conductor.newly_sick(world.free()) == []


def test_a_node_that_joins_is_used_and_one_that_is_closed_is_not() -> None:
    world = World([1])
    assert world.start_all() == ["0000"]
    world.nodes["new"] = Node("new", "", 1, 64.0, 1, 64.0)
    world.nodes["draining"] = Node("draining", "", 8, 64.0, 8, 64.0, open=False)
    assert world.start_all() == ["0001"]
    assert world.running["0001"].nodes == ("new",)


def test_a_cluster_that_lost_the_last_node_that_could_hold_a_trial_ends_the_study_with_patience() -> None:
    world = World([1])
    world.start_all()
    world.nodes.clear()
    assert world.fail("0000", None)
    assert world.start(Spent(wall_s=10)) is Pause.WAIT
    assert world.start(Spent(wall_s=100)) is Pause.WAIT
    assert world.start(Spent(wall_s=131)) is Pause.NO_PLACE
    assert "no node is left" in world.conductor.stop_reason


def test_a_node_that_comes_back_in_time_goes_on() -> None:
    world = World([1])
    world.start_all()
    gone = world.nodes.pop("node0")
    world.fail("0000", None)
    assert world.start(Spent(wall_s=10)) is Pause.WAIT
    world.nodes["back"] = replace(gone, node_id="back")
    again = world.start(Spent(wall_s=60))
    assert isinstance(again, Assignment)
    assert (again.trial_id, again.nodes) == ("0000", ("back",))


def test_each_gpu_type_has_its_baseline_and_they_go_first() -> None:
    types = replace(rules(trials=4, max_running=None, confirm=0), more_baselines=(Config({"default": "other"}),))
    world = World([1, 1, 1], given=types)
    started = world.start_all()
    phases = [world.running[trial_id].phase for trial_id in started]
    assert phases == [Phase.BASELINE, Phase.BASELINE, Phase.SEARCH]


def test_unfinished_trials_of_an_earlier_life_wait_before_new_proposals() -> None:
    old = KnownTrial("0003", Phase.SEARCH, Config({"n": 1}), TrialState.RUNNING, None, (score(1.0),), 5.0)
    world = World([1], known=[old])
    world.start()
    assert [*world.running] == ["0003"]


def test_a_node_that_an_earlier_life_put_in_quarantine_gets_no_trial() -> None:
    nodes = [Node(name, "", 1, 8.0, 1, 8.0) for name in ("a", "b")]
    sick = [Quarantine("a", "two Configs failed on it")]
    conductor = Conductor(
        rules(max_running=None), CountingProposer(), Budget(), need_of=need_of, nodes=nodes, quarantined=sick
    )
    started = conductor.next(NOTHING, nodes)
    assert isinstance(started, Assignment)
    assert started.nodes == ("b",)
    assert conductor.newly_sick(nodes) == [], "it was told then"


def held_by_others(world: World, gpus: int) -> None:
    """So many GPUs of each node are somebody else's."""
    world.nodes = {name: replace(node, free_gpus=node.gpus - gpus) for name, node in world.nodes.items()}


def alone(world: World) -> list[Node]:
    """The nodes as they would be without the others."""
    return [
        replace(node, free_gpus=node.free_gpus + world.nodes[node.node_id].gpus - free) for node, free in pairs(world)
    ]


def pairs(world: World) -> list[tuple[Node, int]]:
    return [(node, world.nodes[node.node_id].free_gpus) for node in world.free()]


def test_a_cluster_that_others_hold_is_waited_for() -> None:
    world = World([2, 2])
    held_by_others(world, 2)
    assert world.start() is Pause.WAIT, "not finished: its first trial waits"
    assert world.conductor.held_up(NOTHING, world.free(), alone(world)) == need_of(Config({}))
    held_by_others(world, 0)
    assert world.start_all()[0] == "0000"
    assert world.conductor.held_up(NOTHING, world.free(), alone(world)) is None, "what is left is its own trials'"


def test_a_trial_too_large_for_what_others_leave_is_held_up() -> None:
    world = World(
        [4], proposer=CountingProposer(size=5, learns=False), given=rules(trials=5, max_running=None, confirm=0)
    )
    held_by_others(world, 1)
    assert world.start_all()
    held = world.conductor.held_up(NOTHING, world.free(), alone(world))
    assert held is not None
    assert held.shares[0].gpus in (1, 2, 3, 4)


def test_a_study_that_may_run_no_more_at_a_time_is_not_held_up() -> None:
    world = World([2, 2], given=rules(trials=20, max_running=1, confirm=0))
    held_by_others(world, 1)
    assert world.start_all() == ["0000"]
    assert world.conductor.held_up(NOTHING, world.free(), alone(world)) is None


def every(number: int, confirm: int = 0) -> Rules:
    return replace(rules(rungs=1, confirm=confirm, max_running=None), reference_every=number)


def test_the_default_is_measured_again_before_what_is_laid_out_already() -> None:
    """All Configs of a list wait in the line from the start."""
    world = World([1], proposer=CountingProposer(size=2, learns=False), given=every(2))
    order = []
    while started := world.start_all():
        order += started
        for trial_id in started:
            world.complete(trial_id)
    assert order == ["0000", "0001", "0000-r1", "0002"]


def test_a_reference_that_waits_when_the_search_must_end_is_let_go() -> None:
    """The default took 10 s: two rounds of two take 40 of the 100 s."""
    scored = (score(1.0),)
    default = KnownTrial(
        "0000", Phase.BASELINE, rules().baseline, TrialState.COMPLETED, None, scores=scored, seconds=10
    )
    node = Node("a", "", 1, 8.0, 1, 8.0)
    study = Conductor(every(1, confirm=2), CountingProposer(), Budget(wall_s=100.0), [default], need_of)
    assert study.next(Spent(wall_s=10.0), [replace(node, free_gpus=0)]) is Pause.WAIT
    assert study.next(Spent(wall_s=70.0), [node]) is Pause.FINISHED
    again = Conductor(every(1, confirm=2), CountingProposer(), Budget(wall_s=100.0), [default], need_of)
    started = again.next(Spent(wall_s=10.0), [node])
    assert isinstance(started, Assignment)
    assert started.trial_id == "0000-r1"


def test_what_no_node_holds_any_more_is_waited_for_while_something_runs() -> None:
    """However long that takes: nodes may join, and the study is not at its end."""
    world = World([1, 2], proposer=CountingProposer(size=3))
    large = ""
    while not large:
        world.start_all()
        large = next((name for name, run in world.running.items() if run.config.values.get("n") == 2), "")
        if not large:
            world.complete(next(name for name, run in world.running.items() if run.nodes == ("node1",)))
    assert {run.nodes for run in world.running.values()} == {("node0",), ("node1",)}
    del world.nodes["node1"]
    assert world.fail(large, None)
    for wall_s in (10, 500, 5000):
        assert world.start(Spent(wall_s=wall_s)) is Pause.WAIT
