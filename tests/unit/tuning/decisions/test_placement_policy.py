"""Which waiting trial starts next, and on which nodes."""

from __future__ import annotations

from dataclasses import replace

from autotuner.tuning.decisions.placement_policy import Need, Node, Share, Start, Waiting, fits_ever, place

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


def test_the_nearest_node_lacks_the_fewest_gpus_whatever_its_size() -> None:
    nodes = [node("small", 0, 4), node("large", 3, 8)]
    waiting = [trial("large", 4, overtaken=99), trial("small", 1)]
    assert place(waiting, nodes) is None, "the node of 8 lacks one GPU, that of 4 all four"
    assert place(waiting, [node("small", 1, 4), node("large", 0, 8)]) is None
    assert place(waiting, [node("small", 1, 4), node("large", 3, 8)]) == Start("small", ("small",))


def test_a_reservation_holds_back_only_what_could_delay_it() -> None:
    """Two nodes are reserved, one of them free already: a trial without GPUs takes CPUs that are to spare there."""
    nodes = [node("free", 8), node("busy", 0)]
    large = trial("large", 8, 8, overtaken=99)
    assert place([large, trial("small", 1)], nodes) is None
    assert place([large, Waiting("cpus", Need((Share(0, 63.0),)))], [node("free", 8)]) == Start("cpus", ("free",))
    assert place([large, Waiting("cpus", Need((Share(0, 64.0),)))], nodes) is None


def test_closed_nodes_are_not_reserved() -> None:
    nodes = [node("closed", 7, is_open=False), node("open", 1)]
    assert place([trial("large", 8, overtaken=99), trial("small", 1)], nodes) is None
    assert place([trial("large", 8, overtaken=99), trial("small", 1)], nodes[:1]) is None
    others = [node("closed", 7, is_open=False), node("small", 1, 4)]
    assert place([trial("large", 8, overtaken=99), trial("small", 1)], others) == Start("small", ("small",))


def test_of_two_that_were_overtaken_too_often_the_one_that_waits_longer_goes_first() -> None:
    waiting = [trial("later", 8, overtaken=20), trial("sooner", 2, overtaken=30), trial("fresh", 4)]
    assert place(waiting, [node("a", 8)]) == Start("sooner", ("a",))


def test_any_gpu_type_means_the_one_where_it_fits_best() -> None:
    nodes = [node("whole", 8), node("hole", 2, accelerator=L40S)]
    assert place([trial("1", 2)], nodes) == Start("1", ("hole",))
    pairs = [node("a", 8), node("b", 8), node("c", 4, 4, accelerator=L40S), node("d", 4, 4, accelerator=L40S)]
    found = place([trial("1", 4, 4)], pairs)
    assert found is not None
    assert sorted(found.nodes) == ["c", "d"]


def test_shares_give_way_to_each_other() -> None:
    """The share with the load driver fits on one node alone; the other, by best fit, would take that one."""
    nodes = [Node("roomy", H100, 4, 64.0, 4, 9.0), Node("scant", H100, 8, 64.0, 8, 8.0)]
    waiting = Waiting("1", Need((Share(4, 9.0), Share(4, 8.0))))
    assert place([waiting], nodes) == Start("1", ("roomy", "scant"))
    assert place([Waiting("1", Need((Share(2, 9.0), Share(4, 8.0))))], nodes) == Start("1", ("roomy", "scant"))


def test_trials_without_gpus_spread_over_nodes_that_have_none() -> None:
    cpus = Waiting("1", Need((Share(0, 2.0),)))
    bare = [Node("full", "", 0, 8.0, 0, 3.0), Node("empty", "", 0, 8.0, 0, 8.0)]
    assert place([cpus], [node("gpus", 8), *bare]) == Start("1", ("empty",))
    assert place([cpus], [node("gpus", 8)]) == Start("1", ("gpus",))


def test_what_could_fit_on_empty_nodes() -> None:
    nodes = [node("a", 0), node("b", 0, 4, is_open=False)]
    assert fits_ever(trial("1", 8).need, nodes)
    assert fits_ever(trial("1", 4, 4).need, nodes)
    assert not fits_ever(trial("1", 8, 8).need, nodes)
    assert not fits_ever(trial("1", 4, avoid="a b").need, nodes)
    assert not fits_ever(trial("1", 1, accelerator=L40S).need, nodes)


def test_a_trial_reserves_its_node_from_the_eighth_that_was_started_past_it() -> None:
    nodes = [node("a", 4)]
    assert place([trial("large", 8, overtaken=7), trial("small", 1)], nodes) == Start("small", ("a",))
    assert place([trial("large", 8, overtaken=8), trial("small", 1)], nodes) is None


def test_in_a_long_list_a_trial_is_passed_as_often_as_there_are_others() -> None:
    nodes = [node("a", 4)]
    waiting = [trial("large", 8, overtaken=19), *(trial(str(n), 1 + n % 2) for n in range(19))]
    assert place(waiting, nodes) is not None
    waiting[0] = trial("large", 8, overtaken=20)
    assert place(waiting, nodes) is None


def test_of_nodes_where_it_fits_alike_the_warmest_and_no_worse_fit_for_it() -> None:
    cold = {"b": 0.5, "c": 0.25, "d": 0.0}
    asked = replace(trial("t", 2), coldness=lambda name: cold.get(name, 1.0))
    alike = [node("a", 4), node("b", 4), node("c", 4)]
    assert place([asked], alike) == Start("t", ("c",))
    assert place([asked], [*alike, node("d", 8)]) == Start("t", ("c",)), "d is the warmest and would be broken up"
    assert place([trial("t", 2)], alike) == Start("t", ("a",))
