"""Where a trial may go: needs, nodes, the order of what waits, and what is known of a cluster."""

from __future__ import annotations

import pytest

from autotuner.errors import Failure
from autotuner.space.config import Config
from autotuner.tuning.decisions.known_nodes import KnownNodes
from autotuner.tuning.decisions.node_health import NodeHealth, Quarantine
from autotuner.tuning.decisions.placement_policy import (
    Need,
    Node,
    Share,
    Start,
    Waiting,
    closed,
    fits_ever,
    fits_now,
    place,
)
from autotuner.tuning.decisions.repeats import DOUBTED, INNOCENT, Repeats
from autotuner.tuning.decisions.twin_checks import TwinChecks
from autotuner.tuning.decisions.waiting_line import held_up
from tests.tuning_parts import LATENCY

H100, L40S = "H100", "L40S"


def node(
    name: str,
    free: int = 8,
    total: int = 8,
    *,
    accelerator: str = H100,
    cpus: float = 64.0,
    free_cpus: float | None = None,
    is_open: bool = True,
) -> Node:
    return Node(name, accelerator, total, cpus, free, cpus if free_cpus is None else free_cpus, is_open)


def need(*gpus: int, cpus: float = 1.0, accelerator: str = "", avoid: str = "") -> Need:
    return Need(tuple(Share(count, cpus) for count in gpus), accelerator, frozenset(avoid.split()))


# ── needs and nodes ───────────────────────────────────────────────────────────────────────────


def test_a_needs_size_is_that_of_all_its_shares() -> None:
    assert Need((Share(8, 3.0), Share(4, 2.0))).size == (12, 5.0)


def test_a_trial_that_just_came_was_passed_by_none_and_a_node_is_open_unless_it_is_said_to_be_closed() -> None:
    assert Waiting("a", need(1)).overtaken == 0
    assert Node("a", H100, 8, 64.0, 8, 64.0).open


def test_a_need_without_a_type_takes_any() -> None:
    assert [need(1).takes(name) for name in (H100, L40S, "")] == [True, True, True]
    assert [need(1, accelerator=H100).takes(name) for name in (H100, L40S, "")] == [True, False, False]


@pytest.mark.parametrize(
    ("needs", "given", "fits"),
    [
        (need(8, cpus=64), node("a"), True),
        (need(9), node("a"), False),
        (need(8, cpus=64.5), node("a"), False),
        (need(8), node("a", 7), False),
        (need(8, cpus=64), node("a", free_cpus=63), False),
        (need(1), node("a", is_open=False), False),
        (need(1, avoid="a"), node("a"), False),
        (need(1, accelerator=L40S), node("a"), False),
        (need(1, 1), node("a"), False),
    ],
)
def test_what_fits_on_one_node_now(needs: Need, given: Node, fits: bool) -> None:
    assert fits_now(needs, given) is fits


@pytest.mark.parametrize(
    ("needs", "fits"),
    [(need(8, cpus=64), True), (need(9), False), (need(8, cpus=65), False), (need(8, 8), True), (need(8, 8, 8), False)],
)
def test_what_could_ever_fit_asks_for_empty_open_nodes(needs: Need, fits: bool) -> None:
    assert fits_ever(needs, [node("a", 0, free_cpus=0), node("b", 0, is_open=False)]) is fits


def test_closed_nodes_are_the_same_but_for_that() -> None:
    assert closed([node("a"), node("b")], {"b"}) == [node("a"), node("b", is_open=False)]


# ── who starts ────────────────────────────────────────────────────────────────────────────────


def start(nodes: list[Node], *waiting: Need) -> Start | None:
    return place([Waiting(str(number), one) for number, one in enumerate(waiting)], nodes)


def test_of_the_same_size_the_one_that_waits_longer_starts() -> None:
    assert start([node("a")], need(4), need(4)) == Start("0", ("a",))
    assert start([node("a")], need(4, cpus=1), need(4, cpus=2)) == Start("1", ("a",)), "more CPUs are larger"


def test_an_overtaken_trial_that_fits_goes_before_a_larger_one() -> None:
    waiting = [Waiting("passed", need(1), 8), Waiting("large", need(8))]
    assert place(waiting, [node("a")]) == Start("passed", ("a",))


def test_two_overtaken_trials_reserve_a_node_each() -> None:
    waiting = [Waiting("one", need(8), 9), Waiting("two", need(8, cpus=2), 8), Waiting("small", need(1))]
    busy = [node("a", 7), node("b", 6), node("c", 1, 4)]
    assert place(waiting, busy) == Start("small", ("c",))
    assert place(waiting, busy[:2]) is None


def test_a_reservation_of_cpus_leaves_gpus_alone_and_of_gpus_cpus() -> None:
    """What is kept is what the reserved trial needs of each."""
    reserved = Waiting("large", Need((Share(0, 40.0),)), 9)
    nodes = [node("a", 8, cpus=64, free_cpus=30)]
    assert place([reserved, Waiting("gpus", Need((Share(8, 0.0),)))], nodes) == Start("gpus", ("a",))
    assert place([reserved, Waiting("cpus", Need((Share(0, 1.0),)))], nodes) is None
    of_gpus = Waiting("large", Need((Share(8, 0.0),)), 9)
    half = [node("a", 4)]
    assert place([of_gpus, Waiting("cpus", Need((Share(0, 60.0),)))], half) == Start("cpus", ("a",))


# ── where it goes ─────────────────────────────────────────────────────────────────────────────


def test_a_trial_goes_where_it_leaves_the_least() -> None:
    assert start([node("a", 8), node("b", 5)], need(4)) == Start("0", ("b",)), "GPUs"
    assert start([node("a", free_cpus=9), node("b", free_cpus=5)], need(4)) == Start("0", ("b",)), "then CPUs"
    assert start([node("b"), node("a")], need(4)) == Start("0", ("a",)), "then by name"
    assert start([node("a", 8, 8), node("b", 4, 4)], need(4)) == Start("0", ("b",)), "small nodes before small holes"


def test_without_gpus_the_node_that_has_most_to_spare_is_taken() -> None:
    bare = [node("a", 0, 0, free_cpus=5), node("b", 0, 0, free_cpus=50)]
    assert start(bare, need(0)) == Start("0", ("b",))


def test_the_larger_share_chooses_first() -> None:
    """The 8 GPUs go on the node that has them, though the share of 2 is asked for first."""
    found = start([node("a", 8), node("b", 2)], Need((Share(2, 1.0), Share(8, 1.0))))
    assert found == Start("0", ("b", "a"))
    by_cpus = start([node("a", free_cpus=60), node("b", free_cpus=5)], Need((Share(4, 1.0), Share(4, 50.0))))
    assert by_cpus == Start("0", ("b", "a"))


def test_the_larger_share_has_the_node_that_both_would_take() -> None:
    """Both nodes hold both shares; the one that is less free costs less."""
    shares = Need((Share(2, 1.0), Share(3, 1.0)))
    assert start([node("a", 8), node("b", 4)], shares) == Start("0", ("a", "b"))
    by_cpus = Need((Share(2, 1.0), Share(2, 3.0)))
    assert start([node("a", 8), node("b", 4)], by_cpus) == Start("0", ("a", "b"))


def test_of_two_types_the_one_whose_first_node_is_left_fuller_is_taken() -> None:
    nodes = [node("a", 8), node("b", 8), node("c", 8, accelerator=L40S), node("d", 4, accelerator=L40S)]
    assert start(nodes, need(4, 4)) == Start("0", ("d", "c"))


def test_a_reservation_lacks_cpus_too() -> None:
    """Both lack no GPU: the node that lacks the fewer CPUs is kept."""
    waiting = [Waiting("large", need(8, cpus=60), 9), Waiting("small", need(1))]
    busy = [node("a", free_cpus=50), node("b", free_cpus=10)]
    assert place(waiting, busy) == Start("small", ("b",))


# ── held up ───────────────────────────────────────────────────────────────────────────────────


def test_held_up_is_the_first_that_would_fit_were_it_not_for_others() -> None:
    alone, taken = [node("a")], [node("a", 2)]
    assert held_up([need(9), need(4), need(8)], taken, alone) == need(4)
    assert held_up([need(1), need(9)], taken, alone) is None
    assert held_up([], taken, alone) is None


# ── repeats ───────────────────────────────────────────────────────────────────────────────────


def test_failures_are_doubted_or_innocent_or_believed() -> None:
    assert {Failure.CRASH, Failure.HANG, Failure.STARTUP_TIMEOUT} == DOUBTED
    assert {Failure.INFRASTRUCTURE, Failure.CLIENT_SATURATED} == INNOCENT


def test_what_would_be_repeated_is_told_before_a_trial_starts() -> None:
    nodes = [node("a"), node("b"), node("c")]
    repeats = Repeats()
    assert repeats.repeat_on(need(1), ["a"], nodes) == DOUBTED | INNOCENT
    repeats.note(Failure.CRASH, ["a"])
    assert repeats.repeat_on(need(1), ["b"], nodes) == INNOCENT
    repeats.note(Failure.INFRASTRUCTURE, ["b"])
    assert repeats.repeat_on(need(1), ["c"], nodes) == frozenset(), "no node is left"
    assert repeats.repeat_on(need(1), ["a"], nodes) == INNOCENT
    repeats.note(Failure.CLIENT_SATURATED, ["a"])
    assert repeats.repeat_on(need(1), ["a"], nodes) == frozenset()


def test_a_trial_that_never_failed_goes_anywhere() -> None:
    assert Repeats().need(need(1), [node("a")]) == need(1)


def test_it_keeps_away_from_what_it_was_to_keep_away_from() -> None:
    repeats = Repeats()
    repeats.note(None, ["a"])
    nodes = [node("a"), node("b"), node("c")]
    assert repeats.need(need(1, avoid="b"), nodes).avoid == {"a", "b"}
    assert repeats.need(need(1, avoid="b c"), nodes).avoid == {"b", "c"}, "nowhere else is left"


# ── what is known of a cluster ────────────────────────────────────────────────────────────────


def known(*seen: Node, sick: str = "") -> KnownNodes:
    health = NodeHealth([Quarantine(name, "sick") for name in sick.split()])
    return KnownNodes(health, TwinChecks((), lambda _: need(1), LATENCY, trials_per_node=None), seen)


def test_usable_are_those_that_are_neither_drained_nor_sick() -> None:
    nodes = [node("a"), node("drained", is_open=False), node("sick")]
    places = known(*nodes, sick="sick").places(nodes)
    assert [(one.node_id, one.open) for one in places.nodes] == [("a", True), ("drained", False), ("sick", False)]
    assert [one.node_id for one in places.usable] == ["a"]
    assert places.could_hold(need(8))
    assert not places.could_hold(need(8, 8))


def test_what_could_ever_be_held_is_by_every_node_that_was_there() -> None:
    nodes = known()
    assert nodes.could_ever_hold(need(99)), "nothing is known yet"
    nodes.look([node("a")], 0)
    assert (nodes.could_ever_hold(need(8)), nodes.could_ever_hold(need(9))) == (True, False)
    nodes.look([node("b")], 0)
    assert nodes.could_ever_hold(need(8, 8))
    assert [one.node_id for one in nodes.seen] == ["a", "b"]


def test_newly_sick_are_of_the_usable_alone() -> None:
    nodes = known(sick="b")
    nodes.health.slow(Quarantine("a", "slow"))
    nodes.health.slow(Quarantine("b", "slow"))
    nodes.health.failed(Config({}), ["a"], Failure.CRASH)
    assert [one.node_id for one in nodes.newly_sick([node("a"), node("b"), node("c")], ())] == ["a"]
    assert nodes.newly_sick([node("a"), node("c")], ()) == []
