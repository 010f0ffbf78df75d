"""The comparison of like nodes by itself: who is checked, what a check tells, and who is slow."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autotuner.results.records import Phase
from autotuner.scoring import Score, parse_objective
from autotuner.space.config import Config
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.placement_policy import Need, Node, Share
from autotuner.tuning.decisions.twin_checks import TwinChecks
from tests.scores import made_score
from tests.tuning_parts import infeasible, score

LOW, HIGH = parse_objective("ttft_p90"), parse_objective("throughput")
DEFAULT, OTHER = Config({"default": True}), Config({"default": "other"})
ONE_GPU = Need((Share(1, 1.0),))


def node(name: str, accelerator: str = "H100", *, gpus: int = 1, free: int | None = None, is_open: bool = True) -> Node:
    return Node(name, accelerator, gpus, 8.0, gpus if free is None else free, 8.0, is_open)


def checks(*, objective: object = LOW, per_node: int | None = 10, used: tuple[str, ...] = ()) -> TwinChecks:
    assert objective in (LOW, HIGH)
    return TwinChecks(
        [DEFAULT], lambda _: ONE_GPU, HIGH if objective is HIGH else LOW, trials_per_node=per_node, used=used
    )


NODES = [node("a"), node("b")]


def run_all(found: TwinChecks, values: dict[str, float | Score | None], nodes: list[Node] = NODES) -> list[str]:
    """Starts what can be started and ends each by its node's value; returns the nodes that were checked."""
    checked = []
    while (assignment := found.start_one(nodes, 3)) is not None:
        [name] = assignment.nodes
        value = values[name]
        found.ended(assignment.trial_id, score(value) if isinstance(value, int | float) else value)
        checked.append(name)
    return checked


def slow(found: TwinChecks, values: dict[str, float | Score | None], nodes: list[Node] = NODES) -> list[str]:
    """The nodes that are told to be slow, once nothing is left to be checked."""
    told = found.look(nodes, 99)
    while run_all(found, values, nodes):
        told += found.look(nodes, 99)
    return [quarantine.node_id for quarantine in told]


# ── who is checked ────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("trials_left", "checked"), [(19, False), (20, True)])
def test_checks_are_made_where_each_twin_has_its_trials_to_come(trials_left: int, checked: bool) -> None:
    found = checks()
    found.look(NODES, trials_left)
    assert found.undecided == ({"a", "b"} if checked else set())
    found.look(NODES, 99)
    assert found.undecided == ({"a", "b"} if checked else set()), "decided once"


def test_a_closed_node_is_no_twin_until_it_opens() -> None:
    found = checks()
    found.look([node("a"), node("b", is_open=False)], 99)
    assert found.undecided == frozenset()
    found = checks()
    found.look([node("a", is_open=False), node("b", is_open=False)], 99)
    found.look(NODES, 99)
    assert found.undecided == {"a", "b"}


@pytest.mark.parametrize("need", [Need((Share(1, 1.0),) * 2), Need((Share(1, 1.0),), "L40S")])
def test_a_default_over_several_nodes_or_of_another_type_checks_none(need: Need) -> None:
    found = TwinChecks([DEFAULT], lambda _: need, LOW, trials_per_node=1)
    found.look(NODES, 99)
    assert found.undecided == frozenset()


def test_each_type_is_checked_by_its_own_default() -> None:
    needs = {DEFAULT: Need((Share(1, 1.0),), "H100"), OTHER: Need((Share(1, 1.0),), "L40S")}
    nodes = [*NODES, node("c", "L40S"), node("d", "L40S")]
    found = TwinChecks([DEFAULT, OTHER], needs.__getitem__, LOW, trials_per_node=1)
    found.look(nodes, 99)
    started = [found.start_one(nodes, 3) for _ in range(4)]
    assert [(a.trial_id, a.config, a.nodes) for a in started if a is not None] == [
        ("0000-n1", DEFAULT, ("a",)),
        ("0000-n2", DEFAULT, ("b",)),
        ("0001-n1", OTHER, ("c",)),
        ("0001-n2", OTHER, ("d",)),
    ]


def test_a_check_is_the_defaults_on_its_node_under_a_name_that_none_had() -> None:
    found = checks(used=("0000-n1", "0000-n3"))
    found.look(NODES, 99)
    assert found.start_one(NODES, 3) == Assignment("0000-n2", Phase.NODE_CHECK, DEFAULT, 3, ("a",))
    second = found.start_one(NODES, 3)
    assert second is not None
    assert second.trial_id == "0000-n4"
    assert found.start_one(NODES, 3) is None


def test_a_check_waits_for_room_on_its_node() -> None:
    found = checks()
    busy = [node("a", free=0), node("b")]
    found.look(busy, 99)
    started = found.start_one(busy, 3)
    assert started is not None
    assert started.nodes == ("b",)
    assert found.start_one(busy, 3) is None


# ── who is slow ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"a": 10.0, "b": 12.5}, []),
        ({"a": 10.0, "b": 12.6}, ["b"]),
        ({"a": 0.5, "b": 0.7}, ["b"]),
    ],
)
def test_of_what_is_to_be_less_a_node_is_slow_at_less_than_four_fifths(
    values: dict[str, float | Score | None], told: list[str]
) -> None:
    assert slow(checks(), values) == told


@pytest.mark.parametrize(
    ("values", "told"), [({"a": 100.0, "b": 80.0}, []), ({"a": 100.0, "b": 79.9}, ["b"]), ({"a": 1.0, "b": 0.7}, ["b"])]
)
def test_of_what_is_to_be_more_as_well(values: dict[str, float], told: list[str]) -> None:
    scored: dict[str, float | Score | None] = {name: made_score(v, "throughput") for name, v in values.items()}
    assert slow(checks(objective=HIGH), scored) == told


def test_it_is_measured_twice_before_it_is_believed_and_the_others_once() -> None:
    found = checks()
    nodes = [*NODES, node("c")]
    values: dict[str, float | Score | None] = {"a": 10.0, "b": 10.0, "c": 20.0}
    assert found.look(nodes, 99) == []
    assert run_all(found, values, nodes) == ["a", "b", "c"]
    assert found.look(nodes, 99) == []
    assert found.undecided == {"c"}
    assert run_all(found, values, nodes) == ["c"]
    [told] = found.look(nodes, 99)
    assert told.reason == (
        "slower than its twins: ttft_p90 of the default was 20 on it and 10 on its twins, 2 times in a row"
    )
    assert found.look(nodes, 99) == [], "each once"


@pytest.mark.parametrize("other", [None, infeasible(), score(0.0)], ids=["no score", "infeasible", "zero"])
def test_a_check_that_tells_nothing_decides_for_the_node_and_against_no_twin(other: Score | None) -> None:
    values: dict[str, float | Score | None] = {"a": 10.0, "b": other}
    found = checks()
    assert slow(found, values) == []
    assert found.undecided == frozenset()


def test_a_node_is_compared_with_the_median_of_its_twins() -> None:
    nodes = [*NODES, node("c"), node("d")]
    values: dict[str, float | Score | None] = {"a": 10.0, "b": 10.0, "c": 100.0, "d": 12.4}
    assert slow(checks(), values, nodes) == ["c"]


def test_nodes_of_another_kind_are_not_compared_with() -> None:
    nodes = [*NODES, node("c", gpus=8), node("d", gpus=8)]
    values: dict[str, float | Score | None] = {"a": 10.0, "b": 10.0, "c": 50.0, "d": 50.0}
    assert slow(checks(), values, nodes) == []


def test_a_twin_that_runs_its_check_or_could_start_it_is_waited_for() -> None:
    found = checks()
    found.look(NODES, 99)
    first, second = found.start_one(NODES, 3), found.start_one(NODES, 3)
    assert first is not None
    assert second is not None
    found.ended(first.trial_id, score(10.0))
    found.look(NODES, 99)
    assert found.undecided == {"a", "b"}
    found.ended(second.trial_id, score(10.0))
    found.look(NODES, 99)
    assert found.undecided == frozenset()


def test_a_node_that_is_gone_is_forgotten_but_while_its_check_runs() -> None:
    found = checks()
    found.look(NODES, 99)
    started = found.start_one(NODES, 3)
    assert started is not None
    found.look([node("b")], 99)
    assert found.undecided == {"a", "b"}
    found.ended(started.trial_id, None)
    found.look([node("b")], 99)
    assert found.undecided == {"b"}


def test_a_node_that_lost_its_room_meanwhile_keeps_none_waiting() -> None:
    found = checks()
    found.look(NODES, 99)
    started = found.start_one(NODES, 3)
    assert started is not None
    found.ended(started.trial_id, score(10.0))
    found.look([NODES[0], replace(NODES[1], free_gpus=0)], 99)
    assert found.undecided == {"b"}
