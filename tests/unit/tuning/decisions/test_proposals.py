"""What the searcher proposes, less what no node can hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from autotuner.scoring import parse_objective
from autotuner.space.config import Config
from autotuner.tuning.decisions.known_nodes import KnownNodes, Places
from autotuner.tuning.decisions.node_health import NodeHealth
from autotuner.tuning.decisions.placement_policy import Need, Node, Share
from autotuner.tuning.decisions.proposals import Proposals
from autotuner.tuning.decisions.twin_checks import TwinChecks
from autotuner.tuning.proposers import OutcomeKind
from tests.tuning_parts import LATENCY, CountingProposer

LARGE, SMALL = Need((Share(8, 1.0),)), Need((Share(1, 1.0),))
NEVER = Need((Share(99, 1.0),))


def node(name: str, gpus: int) -> Node:
    return Node(name, "", gpus, 8.0, gpus, 8.0)


BOTH = (node("large", 8), node("small", 1))


class World:
    """Proposals n = 0, 1, …, each with the need that ``need`` gives to it, on nodes that were seen and are usable."""

    def __init__(
        self,
        need: Callable[[int], Need],
        *,
        size: int = 5000,
        learns: bool = True,
        seen: Sequence[Node] = BOTH,
        usable: Sequence[Node] | None = None,
    ) -> None:
        self.proposer = CountingProposer(size, learns)
        checks = TwinChecks((), lambda _: SMALL, LATENCY, trials_per_node=None)
        self.nodes = KnownNodes(NodeHealth(), checks, seen)
        self.proposals = Proposals(
            self.proposer, lambda config: need(int(config.values["n"])), self.nodes, [parse_objective("ttft_p90")]
        )
        self.usable = seen if usable is None else usable

    def next(self, waiting: Sequence[Need] = ()) -> int | None:
        config = self.proposals.next("0001", Places(self.usable, self.usable), waiting)
        return None if config is None else int(config.values["n"])

    @property
    def told(self) -> list[OutcomeKind]:
        return [outcome.kind for _, outcome in self.proposer.told]

    def joins(self, name: str, gpus: int) -> None:
        self.nodes.look([*BOTH, node(name, gpus)], 0)


def needs(first: Need, *others: Need, then: Need = SMALL) -> Callable[[int], Need]:
    listed = (first, *others)
    return lambda n: listed[n] if n < len(listed) else then


def test_what_no_node_ever_could_hold_is_told_as_infeasible_and_the_next_is_taken() -> None:
    world = World(needs(NEVER, NEVER, SMALL))
    assert world.next() == 2
    assert world.told == [OutcomeKind.INFEASIBLE] * 2
    assert [config.values["n"] for config in world.proposals.refused] == [0, 1]
    assert not world.proposals.is_exhausted


@pytest.mark.parametrize(("fits", "found"), [(999, 999), (1000, None)])
def test_after_a_thousand_in_a_row_that_fit_nowhere_the_space_is_taken_for_exhausted(
    fits: int, found: int | None
) -> None:
    world = World(lambda n: SMALL if n == fits else NEVER)
    assert world.next() == found
    assert world.proposals.is_exhausted is (found is None)
    assert len(world.proposer.proposed) == 1000


def test_a_searcher_that_has_nothing_more_is_asked_no_more() -> None:
    world = World(needs(SMALL), size=1)
    assert (world.next(), world.next(), world.next()) == (0, None, None)
    assert world.proposals.is_exhausted


def test_before_any_node_was_seen_and_where_ray_places_trials_all_are_taken() -> None:
    world = World(needs(NEVER), seen=())
    assert world.proposals.next("0001", None, [NEVER] * 99) == Config({"n": 0})


# ── what none can hold any more ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("waiting", "found"), [([LARGE] * 7, 0), ([LARGE] * 8, 2), ([LARGE] * 7 + [SMALL] * 9, 0)])
def test_up_to_eight_wait_for_a_node_to_come_back(waiting: list[Need], found: int) -> None:
    """The large node is gone; beyond them the searcher is told of nothing known."""
    world = World(needs(LARGE, LARGE, SMALL), usable=BOTH[1:])
    assert world.next(waiting) == found
    assert world.told == [OutcomeKind.UNKNOWN] * found
    assert world.proposals.refused == []


def test_of_a_list_all_wait() -> None:
    world = World(needs(LARGE), learns=False, usable=BOTH[1:])
    assert world.next([LARGE] * 99) == 0


@pytest.mark.parametrize(("homeless", "found"), [(49, 49), (50, None)])
def test_after_fifty_in_a_row_no_more_are_asked_for_on_the_same_nodes(homeless: int, found: int | None) -> None:
    world = World(lambda n: LARGE if n < homeless else SMALL, usable=BOTH[1:])
    assert world.next([LARGE] * 8) == found
    assert not world.proposals.is_exhausted
    if found is None:
        assert world.next([LARGE] * 8) is None
        assert len(world.proposer.proposed) == 50
        world.usable = (node("other", 1),)
        assert world.next([LARGE] * 8) == 50


# ── what fits once a node joins ───────────────────────────────────────────────────────────────


def test_of_a_list_what_fits_a_node_that_joined_comes_back_in_its_order() -> None:
    """16 GPUs are nowhere, then somewhere; 99 nowhere at all."""
    sixteen = Need((Share(16, 1.0),))
    world = World(needs(NEVER, sixteen, sixteen, SMALL), size=4, learns=False)
    assert (world.next(), world.next()) == (3, None)
    assert world.proposals.is_exhausted
    world.joins("huge", 16)
    assert not world.proposals.is_exhausted
    assert (world.next(), world.next(), world.next()) == (1, 2, None)
    assert world.proposals.is_exhausted
    world.joins("giant", 99)
    assert world.next() == 0


def test_what_was_told_to_a_searcher_that_learns_does_not_come_back() -> None:
    world = World(needs(Need((Share(16, 1.0),)), SMALL), size=2)
    assert (world.next(), world.next()) == (1, None)
    world.joins("huge", 16)
    assert world.proposals.is_exhausted


def test_after_its_end_nothing_is_proposed_whatever_joins() -> None:
    world = World(needs(Need((Share(16, 1.0),)), SMALL), learns=False)
    assert world.next() == 1
    world.proposals.end()
    world.joins("huge", 16)
    assert world.proposals.is_exhausted
    assert world.next() is None
