"""The line of trials that were proposed and wait: who may start past whom."""

from __future__ import annotations

from autotuner.results.records import Phase
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.placement_policy import Need, Node, Share
from autotuner.tuning.decisions.waiting_line import WaitingLine

H100, L40S = "H100-80GB", "L40S-48GB"


def node(name: str, free: int, total: int = 8, accelerator: str = H100) -> Node:
    return Node(name, accelerator, total, 64.0, free, 64.0)


def need(gpus: int, accelerator: str = "") -> Need:
    return Need((Share(gpus, 1.0),), accelerator)


def join(line: WaitingLine, trial_id: str, gpus: int, phase: Phase = Phase.SEARCH, **more: bool) -> None:
    line.join(Assignment(trial_id, phase, Config({"n": trial_id}), 3), need(gpus), **more)


def start(line: WaitingLine, nodes: list[Node], usable: list[Node] | None = None) -> tuple[str, tuple[str, ...]] | None:
    found = line.start_one(nodes, nodes if usable is None else usable)
    return None if found is None else (found[0].trial_id, found[0].nodes)


def test_who_joins_first_stands_before_all_that_wait() -> None:
    line = WaitingLine()
    join(line, "a", 1)
    join(line, "b", 1)
    join(line, "again", 1, first=True)
    assert [a.trial_id for a in line.assignments] == ["again", "a", "b"]
    found = line.start_first()
    assert found is not None
    assert found[0].trial_id == "again"
    assert len(line) == 2


def test_a_searched_trial_leaves_the_node_alone_that_a_baseline_waits_for() -> None:
    line = WaitingLine()
    join(line, "0000", 8, Phase.BASELINE)
    join(line, "0001", 1)
    assert start(line, [node("half", 4)]) is None
    assert start(line, [node("half", 8)]) == ("0000", ("half",))
    assert start(line, [node("half", 4)]) == ("0001", ("half",)), "the baseline runs"


def test_nodes_of_another_type_are_not_kept_for_a_baseline() -> None:
    line = WaitingLine()
    line.join(Assignment("0000", Phase.BASELINE, Config({}), 3), need(8, H100))
    join(line, "0001", 1)
    assert start(line, [node("half", 4), node("other", 1, 4, L40S)]) == ("0001", ("other",))


def test_a_baseline_that_would_never_fit_keeps_nothing() -> None:
    line = WaitingLine()
    join(line, "0000", 16, Phase.BASELINE)
    join(line, "0001", 1)
    assert start(line, [node("half", 4)]) == ("0001", ("half",))


def test_a_trial_that_was_passed_by_eight_is_passed_by_no_ninth() -> None:
    """The line counts: the ninth small trial would delay the large one on the node that it waits for."""
    line = WaitingLine()
    join(line, "large", 8)
    nodes = [node("a", 4)]
    for number in range(8):
        join(line, f"small-{number}", 1)
        assert start(line, nodes) == (f"small-{number}", ("a",))
    join(line, "small-8", 1)
    assert start(line, nodes) is None
    assert start(line, [node("a", 8)]) == ("large", ("a",))
    assert start(line, nodes) == ("small-8", ("a",))


def test_a_trial_that_joined_later_was_not_passed() -> None:
    line = WaitingLine()
    for number in range(8):
        join(line, f"small-{number}", 1)
        assert start(line, [node("a", 4)]) is not None
    join(line, "large", 8)
    join(line, "small", 1)
    assert start(line, [node("a", 4)]) == ("small", ("a",))


def test_needs_are_asked_anew_from_the_one_that_a_trial_came_with() -> None:
    line = WaitingLine()
    join(line, "a", 4)
    line.reconsider(lambda trial_id, own: Need(own.shares, H100, frozenset({trial_id})))
    line.reconsider(lambda trial_id, own: Need(own.shares, own.accelerator, own.avoid | {"x"}))
    assert line.needs == [Need((Share(4, 1.0),), "", frozenset({"x"}))]


def test_who_leaves_is_gone() -> None:
    line = WaitingLine()
    join(line, "a", 1)
    join(line, "b", 1)
    line.leave({"a"})
    assert [a.trial_id for a in line.assignments] == ["b"]
    line.leave({"b"})
    assert line.start_first() is None


def test_a_trial_goes_where_a_like_one_was_started() -> None:
    line = WaitingLine()
    for trial_id, batch in (("0001", 1), ("0002", 2), ("0003", 2), ("0004", 1)):
        line.join(Assignment(trial_id, Phase.SEARCH, Config({"batch": batch}), 1), need(8))
    nodes = [node("a", 8), node("b", 8)]
    assert start(line, nodes) == ("0001", ("a",))
    assert start(line, nodes[1:]) == ("0002", ("b",))
    assert start(line, nodes) == ("0003", ("b",))
    assert start(line, nodes) == ("0004", ("a",))
