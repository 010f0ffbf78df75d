"""The conductor's smaller rules, each by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from autotuner.errors import Failure
from autotuner.results.records import Phase, TrialState
from autotuner.scoring import Score
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.budget import Budget, Spent
from autotuner.tuning.decisions.conductor import Conductor
from autotuner.tuning.decisions.followed_trial import KnownTrial
from autotuner.tuning.decisions.pause import Pause
from autotuner.tuning.decisions.placement_policy import Need, Node, Share
from tests.tuning_parts import CountingProposer, infeasible, report, rules, score

NOTHING = Spent()
C, S, F, R = TrialState.COMPLETED, TrialState.STOPPED, TrialState.FAILED, TrialState.RUNNING


def cpus(name: str, free: float, *, gpus: int = 0, is_open: bool = True) -> Node:
    return Node(name, "", gpus, 8.0, gpus, free, is_open)


def one_gpu(config: Config) -> Need:
    return Need((Share(1, 1.0),))


def start(conductor: Conductor, nodes: Sequence[Node] | None = None, spent: Spent = NOTHING) -> Assignment:
    decision = conductor.next(spent, nodes)
    assert isinstance(decision, Assignment), decision
    return decision


def known(trial_id: str, state: TrialState = C, *scores: Score, **more: Any) -> KnownTrial:
    phase = Phase.SEARCH if trial_id > "0000" else Phase.BASELINE
    config = Config({"n": int(trial_id[:4]) - 1}) if trial_id > "0000" else rules().baseline
    return replace(KnownTrial(trial_id, phase, config, state, None, scores or (score(5.0),), 20.0), **more)


# ── what ranks trials ─────────────────────────────────────────────────────────────────────────

MEETS, VIOLATES = score(1.0), score(1.0, slo_met=False)


@pytest.mark.parametrize(
    ("trials", "by_violation"),
    [
        ([], False),
        ([known("0000", R)], False),
        ([known("0000", S, VIOLATES)], False),
        ([known("0000", C, VIOLATES)], True),
        ([known("0000", C, infeasible())], True),
        ([known("0000", C, VIOLATES), known("0001", C, MEETS)], False),
        ([known("0000", C, VIOLATES), known("0001", S, MEETS)], True),
        ([known("0000", C, MEETS, VIOLATES)], True),  # its last rung counts
        ([known("0000", C, VIOLATES), known("0000-c1", C, MEETS, phase=Phase.CONFIRM)], True),
    ],
)
def test_trials_rank_by_violation_once_some_came_to_their_end_and_none_meets_the_slos(
    trials: list[KnownTrial], by_violation: bool
) -> None:
    given = rules()
    assert Conductor(given, CountingProposer(), Budget(), trials).ranks_by_violation is by_violation
    ignoring = replace(given, select="score")
    assert not Conductor(ignoring, CountingProposer(), Budget(), trials).ranks_by_violation


# ── scores ────────────────────────────────────────────────────────────────────────────────────


def test_a_rungs_score_is_noted_once_and_in_its_place() -> None:
    conductor = Conductor(rules(rungs=3), CountingProposer(), Budget())
    start(conductor)
    assert conductor.score_of("0000") is None
    assert conductor.score_of("unknown") is None
    conductor.rung_ended(report("0000", 1, 9.0))
    assert conductor.score_of("0000") is None, "there was no rung before it"
    conductor.rung_ended(report("0000", 0, 3.0))
    conductor.rung_ended(report("0000", 0, 4.0))
    assert conductor.score_of("0000") == score(3.0)
    conductor.rung_ended(report("0000", 1, None))
    conductor.rung_ended(report("0000", 1, 2.0))
    assert conductor.score_of("0000") == score(2.0)


def test_a_trial_that_is_to_be_repeated_keeps_its_scores_meanwhile() -> None:
    conductor = Conductor(rules(max_running=1), CountingProposer(), Budget())
    start(conductor)
    conductor.rung_ended(report("0000", 0, 3.0))
    assert conductor.repeats("0000", Failure.INFRASTRUCTURE)
    assert conductor.running() == []
    assert conductor.score_of("0000") == score(3.0)
    again = start(conductor)
    assert (again.trial_id, again.nodes, again.repeat_on) == ("0000", (), frozenset())


# ── places ────────────────────────────────────────────────────────────────────────────────────


def test_a_study_whose_need_is_not_told_runs_on_any_node() -> None:
    conductor = Conductor(rules(), CountingProposer(), Budget())
    assert start(conductor, [cpus("bare", 1.0)]).nodes == ("bare",)


@pytest.mark.parametrize(
    ("node", "asked"),
    [(cpus("a", 1.0), 1), (cpus("a", 0.9), 0), (cpus("a", 8.0, is_open=False), 0), (cpus("a", 0.0, gpus=4), 0)],
)
def test_without_gpus_a_proposal_is_asked_for_where_a_whole_core_is_free(node: Node, asked: int) -> None:
    proposer = CountingProposer()
    conductor = Conductor(
        rules(max_running=None), proposer, Budget(), (known("0000"),), lambda _: Need((Share(0, 0.5),))
    )
    running = start(conductor, [cpus("other", 8.0)])
    assert running.trial_id == "0001"
    conductor.next(NOTHING, [node])
    assert len(proposer.proposed) == 1 + asked


def test_a_place_is_waited_for_two_minutes_and_no_longer() -> None:
    conductor = Conductor(rules(), CountingProposer(), Budget(), (), one_gpu)
    assert conductor.next(Spent(wall_s=1000), []) is Pause.WAIT
    assert conductor.next(Spent(wall_s=1119.9), []) is Pause.WAIT
    assert conductor.next(Spent(wall_s=1120), []) is Pause.NO_PLACE


def test_the_wait_for_a_place_begins_anew_when_there_was_one() -> None:
    conductor = Conductor(rules(), CountingProposer(), Budget(), (), one_gpu)
    busy = replace(cpus("a", 8.0, gpus=1), free_gpus=0)
    assert conductor.next(Spent(wall_s=0), []) is Pause.WAIT
    assert conductor.next(Spent(wall_s=100), [busy]) is Pause.WAIT
    assert conductor.next(Spent(wall_s=200), []) is Pause.WAIT
    assert conductor.next(Spent(wall_s=319), []) is Pause.WAIT
    assert conductor.next(Spent(wall_s=320), []) is Pause.NO_PLACE


def test_as_long_as_one_that_waits_could_have_a_place_it_is_waited_for() -> None:
    """Of two that began in an earlier life one needs more than there is; the other's GPU is somebody else's."""

    def need_of(config: Config) -> Need:
        return Need((Share(99 if config.values.get("n") == 1 else 1, 1.0),))

    past = [known("0001", R), known("0002", R)]
    conductor = Conductor(rules(trials=2), CountingProposer(), Budget(), past, need_of)
    busy = [replace(cpus("a", 8.0, gpus=1), free_gpus=0)]
    for second in (0, 200, 400):
        assert conductor.next(Spent(wall_s=second), busy) is Pause.WAIT


def test_what_is_repeated_goes_before_what_waits() -> None:
    past = [known("0000"), known("0001", R), known("0002", R)]
    conductor = Conductor(rules(max_running=1), CountingProposer(), Budget(), past)
    assert start(conductor).trial_id == "0001"
    assert conductor.repeats("0001", None)
    assert start(conductor).trial_id == "0001"


def test_every_node_that_was_there_at_any_time_is_known() -> None:
    conductor = Conductor(rules(), CountingProposer(), Budget(), (), one_gpu, nodes=[cpus("a", 8.0)])
    conductor.next(NOTHING, [cpus("b", 8.0, gpus=1)])
    assert [node.node_id for node in conductor.seen] == ["a", "b"]


def held(conductor: Conductor, spent: Spent = NOTHING) -> Need | None:
    taken, alone = replace(cpus("a", 8.0, gpus=1), free_gpus=0), cpus("a", 8.0, gpus=1)
    return conductor.held_up(spent, [taken], [alone])


def test_a_study_that_has_more_to_search_is_held_up_where_its_default_would_fit_alone() -> None:
    conductor = Conductor(rules(max_running=None), CountingProposer(), Budget(wall_s=100), (), one_gpu)
    assert held(conductor) == one_gpu(Config({}))
    assert held(conductor, Spent(wall_s=99)) is not None
    assert held(conductor, Spent(wall_s=100)) is None, "its budget is spent"
    done = [known("0000"), known("0001"), known("0002")]
    assert held(Conductor(rules(trials=3), CountingProposer(), Budget(), done, one_gpu)) is None


# ── budgets ───────────────────────────────────────────────────────────────────────────────────


def test_trials_that_held_no_gpu_keep_no_gpu_hours_for_confirmation() -> None:
    """Of 20 s each, so that with one GPU 80 GPU-seconds were to be kept of the 100."""
    past = (known("0000"), known("0001", C, score(1.0)))
    conductor = Conductor(rules(trials=9), CountingProposer(), Budget(gpu_s=100), past)
    assert start(conductor, spent=Spent(gpu_s=30)).phase is Phase.SEARCH
    on_gpus = [replace(trial, gpus=1) for trial in past]
    conductor = Conductor(rules(trials=9), CountingProposer(), Budget(gpu_s=100), on_gpus)
    assert start(conductor, spent=Spent(gpu_s=30)).phase is Phase.CONFIRM


def test_a_trial_that_ends_with_the_budget_at_its_last_rung_was_not_cut() -> None:
    conductor = Conductor(rules(trials=1, rungs=2, confirm=0), CountingProposer(), Budget(wall_s=100))
    start(conductor)
    conductor.rung_ended(report("0000", 0, 3.0))
    conductor.rung_ended(report("0000", 1, 3.0, last=True))
    assert conductor.must_stop("0000", Spent(wall_s=100))
    conductor.trial_ended("0000", C, None)
    assert conductor.next(Spent(wall_s=100)) is Pause.FINISHED
    assert conductor.stop_reason == "all trials done"


# ── node checks ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("done", "checked"), [(0, True), (1, False)])
def test_trials_that_began_are_no_longer_to_come(done: int, checked: bool) -> None:
    """Two like nodes that are to have ten trials each, of twenty."""
    nodes = [cpus(name, 8.0, gpus=1) for name in "ab"]
    nodes = [replace(node, accelerator="H100") for node in nodes]
    given = replace(rules(trials=20, max_running=None), trials_per_checked_node=10)
    past = [known("0000"), known("0000-c1", C, phase=Phase.CONFIRM)][: 2 * done]
    first = start(Conductor(given, CountingProposer(), Budget(), past, one_gpu), nodes)
    assert (first.phase is Phase.NODE_CHECK) is checked


# ── what is handed out ────────────────────────────────────────────────────────────────────────


def test_a_number_that_a_trial_waits_under_is_not_free() -> None:
    """The line holds 0001 while 0000 runs: the next proposal is 0002."""
    nodes = [cpus("a", 8.0, gpus=2)]
    needs = {None: 2, 0: 2, 1: 1}

    def need_of(config: Config) -> Need:
        return Need((Share(needs[config.values.get("n")], 1.0),))

    proposer = CountingProposer(size=2)
    conductor = Conductor(rules(max_running=None), proposer, Budget(), (known("0000"),), need_of)
    assert start(conductor, [replace(nodes[0], free_gpus=1)]).trial_id == "0002"
    assert [trial_id for trial_id, _ in proposer.proposed] == ["0001", "0002"]


def test_up_to_eight_proposals_wait_for_a_searcher_that_learns() -> None:
    """None of them fits beside what others hold: on the empty node each would."""
    proposer = CountingProposer()
    conductor = Conductor(
        rules(trials=99, max_running=None), proposer, Budget(), (known("0000"),), lambda _: Need((Share(4, 1.0),))
    )
    half = replace(cpus("a", 8.0, gpus=4), free_gpus=2)
    assert conductor.next(NOTHING, [half]) is Pause.WAIT
    assert len(proposer.proposed) == 8
    assert conductor.next(NOTHING, [half]) is Pause.WAIT
    assert len(proposer.proposed) == 8


def test_a_study_of_all_trials_that_count_is_over_and_one_that_the_client_spoiled_does_not_count() -> None:
    done = [known("0000"), known("0001"), known("0002")]
    assert Conductor(rules(trials=3, confirm=0), CountingProposer(), Budget(), done).next(NOTHING) is Pause.FINISHED
    spoiled = [*done[:2], known("0002", F, failure=Failure.CLIENT_SATURATED)]
    again = Conductor(rules(trials=3, confirm=0), CountingProposer(), Budget(), spoiled)
    assert start(again).trial_id == "0003"


def test_a_trial_that_was_let_go_for_the_budget_is_proposed_no_more() -> None:
    """Waiting for room that others hold when the budget has no room for more than confirmation."""
    half = replace(cpus("a", 8.0, gpus=4), free_gpus=2)
    past = (known("0000", C, score(5.0), score(5.0)),)
    conductor = Conductor(
        rules(trials=99, confirm=1, max_running=None),
        CountingProposer(),
        Budget(wall_s=100),
        past,
        lambda _: Need((Share(4, 1.0),)),
    )
    assert conductor.next(NOTHING, [half]) is Pause.WAIT
    assert conductor.next(Spent(wall_s=59.9), [half]) is Pause.WAIT
    assert conductor.next(Spent(wall_s=60), [half]) is Pause.FINISHED, "40 s are kept for two trials of 20 s"
    assert conductor.stop_reason == "budget: wall_clock_h"


def test_a_repeated_failure_is_held_against_the_node_and_a_lost_process_is_not() -> None:
    nodes = [cpus(name, 8.0, gpus=4) for name in "abc"]
    conductor = Conductor(rules(trials=9, max_running=None), CountingProposer(), Budget(), (), one_gpu)
    started = [start(conductor, nodes) for _ in range(3)]
    assert {assignment.nodes for assignment in started} == {("a",)}
    for assignment in started[:2]:
        assert conductor.repeats(assignment.trial_id, Failure.INFRASTRUCTURE)
    elsewhere = [cpus(name, 8.0, gpus=4) for name in "bc"]
    again = start(conductor, elsewhere)
    conductor.rung_ended(report(again.trial_id, 0, 1.0))
    assert [one.node_id for one in conductor.newly_sick(nodes)] == ["a"]


def test_a_rung_that_failed_proves_nothing_of_its_node() -> None:
    nodes = [cpus(name, 8.0, gpus=4) for name in "abc"]
    conductor = Conductor(rules(trials=9, max_running=None), CountingProposer(), Budget(), (), one_gpu)
    for assignment in [start(conductor, nodes) for _ in range(2)]:
        assert conductor.repeats(assignment.trial_id, Failure.INFRASTRUCTURE)
    again = start(conductor, nodes[1:])
    conductor.rung_ended(report(again.trial_id, 0, infeasible(), failure=Failure.CRASH))
    assert conductor.newly_sick(nodes) == []


def test_an_interrupted_last_life_keeps_its_searchers_knowledge_but_not_what_only_ran() -> None:
    proposer = CountingProposer()
    past = [known("0000"), known("0001", R), known("0002", S, score(2.0)), known("0000-n1", C, phase=Phase.NODE_CHECK)]
    conductor = Conductor(rules(trials=9, rungs=3), proposer, Budget(), past)
    assert [(trial_id, told is None) for trial_id, _, told in proposer.replayed] == [
        ("0000", False),
        ("0001", True),
        ("0002", False),
    ]
    assert start(conductor) == Assignment("0001", Phase.SEARCH, Config({"n": 0}), 3)
    assert conductor.score_of("0001") is None, "its rungs are told again"
