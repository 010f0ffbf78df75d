"""Which waiting trial starts next, and on which nodes."""

from __future__ import annotations

from autotuner.tuning.placement_policy import Need, Node, Share, Start, Waiting, fits_ever, place

H100, L40S = "H100-80GB", "L40S-48GB"


def node(name: str, free: int, total: int = 8, accelerator: str = H100, *, is_open: bool = True) -> Node:
    return Node(name, accelerator, total, 64.0, free, 64.0, is_open)


def trial(key: str, *gpus: int, accelerator: str = "", avoid: str = "", overtaken: int = 0) -> Waiting:
    need = Need(tuple(Share(count, 1.0) for count in gpus), accelerator, frozenset(avoid.split()))
    return Waiting(key, need, overtaken)


def test_the_largest_that_fits_goes_first() -> None:
    nodes = [node("a", 4)]
    assert place([trial("1", 1), trial("2", 8), trial("3", 4), trial("4", 2)], nodes) == Start("3", ("a",))


def test_small_trials_fill_small_nodes_and_small_holes() -> None:
    nodes = [node("whole", 8), node("hole", 2), node("small", 4, 4)]
    assert place([trial("1", 2)], nodes) == Start("1", ("small",))
    assert place([trial("1", 2)], nodes[:2]) == Start("1", ("hole",))
    assert place([trial("1", 8)], nodes) == Start("1", ("whole",))


def test_closed_avoided_and_other_types_are_left_alone() -> None:
    nodes = [node("closed", 8, is_open=False), node("bad", 8), node("other", 8, accelerator=L40S)]
    assert place([trial("1", 1, accelerator=H100, avoid="bad")], nodes) is None
    assert place([trial("1", 1, avoid="bad")], nodes) == Start("1", ("other",))


def test_shares_lie_on_nodes_of_their_own_of_one_type() -> None:
    nodes = [node("a", 8), node("b", 8, accelerator=L40S), node("c", 8)]
    found = place([trial("1", 8, 8)], nodes)
    assert found is not None
    assert sorted(found.nodes) == ["a", "c"]
    assert place([trial("1", 8, 8)], nodes[:2]) is None


def test_cpus_count_too() -> None:
    busy = Node("a", H100, 8, 4.0, 8, 0.5)
    assert place([trial("1", 1)], [busy]) is None


def test_who_was_overtaken_often_reserves_the_node_that_is_nearest() -> None:
    nodes = [node("nearly", 6), node("full", 0)]
    waiting = [trial("large", 8, overtaken=99), trial("small", 1)]
    assert place(waiting, nodes) is None, "nothing may delay it on the node it waits for"
    elsewhere = [*nodes, node("third", 1, 4)]
    assert place(waiting, elsewhere) == Start("small", ("third",))
    assert place(waiting, [node("nearly", 8), node("full", 0)]) == Start("large", ("nearly",))


def test_what_could_fit_on_empty_nodes() -> None:
    nodes = [node("a", 0), node("b", 0, 4, is_open=False)]
    assert fits_ever(trial("1", 8).need, nodes)
    assert fits_ever(trial("1", 4, 4).need, nodes)
    assert not fits_ever(trial("1", 8, 8).need, nodes)
    assert not fits_ever(trial("1", 4, avoid="a b").need, nodes)
    assert not fits_ever(trial("1", 1, accelerator=L40S).need, nodes)
