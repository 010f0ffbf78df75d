"""Whatever waits and whatever is free: nothing is over-committed, nothing idles that could start, nobody starves."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

from hypothesis import given, settings
from hypothesis import strategies as st

from autotuner.tuning.decisions.placement_policy import Need, Node, Share, Waiting, fits_ever, place

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


def fits_now(need: Need, given_nodes: list[Node]) -> bool:
    """By trying all ways to lay its shares on open nodes."""
    allowed = [n for n in given_nodes if n.open and n.node_id not in need.avoid]
    return any(
        len({node.accelerator for node in chosen}) == 1
        and need.accelerator in ("", chosen[0].accelerator)
        and all(s.gpus <= n.free_gpus and s.cpus <= n.free_cpus for n, s in zip(chosen, need.shares, strict=True))
        for chosen in permutations(allowed, len(need.shares))
    )


@given(waiting(), nodes())
def test_nothing_idles_that_could_start_unless_one_that_was_overtaken_often_is_kept_a_place(
    line: list[Waiting], given_nodes: list[Node]
) -> None:
    waits_for_a_place = any(one.overtaken and not fits_now(one.need, given_nodes) for one in line)
    if place(line, given_nodes) is None and not waits_for_a_place:
        assert not any(fits_now(one.need, given_nodes) for one in line)


@given(waiting(), nodes())
def test_the_order_in_which_nodes_are_told_does_not_matter(line: list[Waiting], given_nodes: list[Node]) -> None:
    assert place(line, given_nodes) == place(line, given_nodes[::-1])


CLUSTER = (("n0", "A", 8), ("n1", "A", 8), ("n2", "B", 4))
LINE = 4  # trials that wait at a time
LONGEST = 5  # steps that a trial runs
# Until the place is kept: overtaken too often (8 times). Until it is free: LONGEST steps, in each at most a new trial
# on every GPU of the cluster; the same once more for each trial of another need that came first.
MOST_OVERTAKEN = 8 + LINE * LONGEST * 20


@st.composite
def streams(draw: st.DrawFn) -> tuple[Need, list[tuple[Need, int]]]:
    """One trial, and what comes after it: mostly of one size, so that one size crowds out the others."""
    sizes = st.sampled_from(draw(st.sampled_from(((1,), (8,), (4, 1), (1, 2, 4), (1, 2, 4, 8)))))
    first = draw(st.sampled_from(((1,), (2,), (4,), (8,), (8, 8), (2, 2))))
    lengths = st.integers(1, LONGEST)
    stream = draw(st.lists(st.tuples(sizes, lengths), min_size=50, max_size=50)) * 20
    needs = [(Need((Share(size, 1.0),)), length) for size, length in stream]
    return Need(tuple(Share(size, 1.0) for size in first)), needs


@settings(deadline=None)
@given(streams())
def test_every_trial_starts_however_many_come_after_it(given_stream: tuple[Need, list[tuple[Need, int]]]) -> None:
    need, stream = given_stream
    coming = iter(stream)
    lengths: dict[str, int] = {}
    line = [Waiting("first", need)]
    free = {name: gpus for name, _, gpus in CLUSTER}
    running: list[tuple[int, tuple[str, ...], Need]] = []
    for now in range(1000):
        for end, used, ended in running:
            if end == now:
                for name, share in zip(used, ended.shares, strict=True):
                    free[name] += share.gpus
        running = [one for one in running if one[0] > now]
        for _ in range(100):
            while len(line) < LINE:
                came, length = next(coming)
                key = str(len(lengths))
                lengths[key] = length
                line.append(Waiting(key, came))
            start = place(line, [Node(name, kind, gpus, 99.0, free[name], 99.0) for name, kind, gpus in CLUSTER])
            if start is None:
                break
            if start.key == "first":
                return
            index = next(i for i, one in enumerate(line) if one.key == start.key)
            started = line.pop(index)
            line[:index] = [replace(one, overtaken=one.overtaken + 1) for one in line[:index]]
            assert line[0].overtaken <= MOST_OVERTAKEN
            for name, share in zip(start.nodes, started.need.shares, strict=True):
                free[name] -= share.gpus
            running.append((now + lengths[start.key], start.nodes, started.need))
    raise AssertionError("never started")
