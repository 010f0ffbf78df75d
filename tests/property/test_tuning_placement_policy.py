"""Whatever waits and whatever is free: nothing is over-committed, nothing idles that could start, nobody starves."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from autotuner.tuning.placement_policy import Need, Node, Share, Waiting, fits_ever, place

TYPES = ("", "A", "B")
SIZES = (0, 1, 2, 4, 8)


@st.composite
def nodes(draw: st.DrawFn) -> list[Node]:
    found = []
    for number in range(draw(st.integers(0, 5))):
        gpus, cpus = draw(st.sampled_from((0, 4, 8))), float(draw(st.integers(1, 16)))
        free = draw(st.integers(0, gpus)), float(draw(st.integers(0, int(cpus))))
        found.append(Node(f"n{number}", draw(st.sampled_from(TYPES)), gpus, cpus, *free, draw(st.booleans())))
    return found


@st.composite
def waiting(draw: st.DrawFn) -> list[Waiting]:
    found = []
    for number in range(draw(st.integers(0, 8))):
        share = Share(draw(st.sampled_from(SIZES)), float(draw(st.integers(0, 4))))
        shares = (share,) * draw(st.sampled_from((1, 1, 1, 2)))
        need = Need(shares, draw(st.sampled_from(TYPES)), frozenset(draw(st.sets(st.sampled_from(("n0", "n1"))))))
        found.append(Waiting(str(number), need, draw(st.sampled_from((0, 1, 50)))))
    return found


@given(waiting(), nodes())
def test_what_is_started_fits_where_it_is_started(line: list[Waiting], given_nodes: list[Node]) -> None:
    start = place(line, given_nodes)
    if start is None:
        return
    need = next(one.need for one in line if one.key == start.key)
    by_id = {node.node_id: node for node in given_nodes}
    used = [by_id[node_id] for node_id in start.nodes]
    assert len(set(start.nodes)) == len(start.nodes) == len(need.shares)
    assert len({node.accelerator for node in used}) == 1
    for node, share in zip(used, need.shares, strict=True):
        assert node.open
        assert node.node_id not in need.avoid
        assert need.accelerator in ("", node.accelerator)
        assert share.gpus <= node.free_gpus
        assert share.cpus <= node.free_cpus
    assert fits_ever(need, given_nodes)
    assert place(line, given_nodes) == start


@given(waiting(), nodes())
def test_nothing_idles_that_could_start_where_nobody_was_overtaken(
    line: list[Waiting], given_nodes: list[Node]
) -> None:
    fresh = [replace(one, overtaken=0) for one in line]
    for one in fresh:
        if place([one], given_nodes) is not None:
            assert place(fresh, given_nodes) is not None


@given(st.lists(st.sampled_from((1, 2, 4)), min_size=200, max_size=200), st.integers(1, 7))
def test_a_large_trial_starts_in_a_stream_of_small_ones(sizes: list[int], shift: int) -> None:
    """The large one waits from the start; whenever a small one ends, another comes."""
    node = Node("n", "", 8, 999.0, 8, 999.0)
    running = [shift]
    large = Waiting("large", Need((Share(8, 1.0),)))
    for number, size in enumerate(sizes):
        small = Waiting(str(number), Need((Share(size, 1.0),)))
        free = replace(node, free_gpus=8 - sum(running))
        start = place([large, small], [free])
        if start is not None and start.key == "large":
            return
        if start is not None:
            running.append(size)
            large = replace(large, overtaken=large.overtaken + 1)
        elif running:
            running.pop(0)
    raise AssertionError(f"not started though overtaken {large.overtaken} times")
