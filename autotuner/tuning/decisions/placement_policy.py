"""Which waiting trial starts next, and on which nodes. Pure: no clock, no Ray.

    overtaken too often ──▶ largest first ──▶ best fit ──▶ warmest

The largest trial that fits is started; smaller ones fill what it leaves, on the nodes where they leave the least, so
that large nodes stay whole; of nodes where it fits alike, the one where the most like server has run. A trial that was
overtaken too often goes before all others; where it does not fit yet it reserves the nodes that lack the least for it,
and nothing is started on them that could delay it. How long a trial will run is not known: a tuner can't know it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

_OFTEN = 8  # a trial overtaken by this many, and by more than are waiting, reserves its nodes


@dataclass(frozen=True)
class Share:
    """What a trial reserves on one node: one bundle of its placement group."""

    gpus: int
    cpus: float


@dataclass(frozen=True)
class Need:
    """What a trial reserves: its shares, each on a node of its own, the load driver's CPUs in the first.

    All nodes are of one GPU type: ``accelerator``, or any where it is empty. ``avoid``: node ids it must not go to.
    """

    shares: tuple[Share, ...]
    accelerator: str = ""
    avoid: frozenset[str] = frozenset()

    @property
    def size(self) -> tuple[int, float]:
        """GPUs and CPUs over all nodes."""
        return sum(share.gpus for share in self.shares), sum(share.cpus for share in self.shares)

    def takes(self, accelerator: str) -> bool:
        """Whether nodes of that GPU type will do."""
        return self.accelerator in ("", accelerator)


@dataclass(frozen=True)
class Node:
    """A node and what is free on it. Not ``open``: it is drained or in quarantine and gets no new trial."""

    node_id: str
    accelerator: str
    gpus: int
    cpus: float
    free_gpus: int
    free_cpus: float
    open: bool = True


def _everywhere_cold(_: str) -> float:
    return 1.0


@dataclass(frozen=True)
class Waiting:
    """A trial that was proposed and not started, and how many were started after it began to wait.

    ``coldness``: of a node by its id, from 0, where all that its server makes and reads was kept, to 1.
    """

    key: str
    need: Need
    overtaken: int = 0
    coldness: Callable[[str], float] = field(default=_everywhere_cold, compare=False)


@dataclass(frozen=True)
class Start:
    """The trial to start, and the node id of each of its shares, in their order."""

    key: str
    nodes: tuple[str, ...]


def fits_ever(need: Need, nodes: Sequence[Node]) -> bool:
    """Whether the nodes could hold the trial if they were empty and open."""
    return _seats(need, nodes, _could_hold, _leftover) is not None


def closed(nodes: Iterable[Node], node_ids: Collection[str]) -> list[Node]:
    """The same nodes, those of ``node_ids`` closed."""
    return [replace(node, open=False) if node.node_id in node_ids else node for node in nodes]


def fits_now(need: Need, node: Node) -> bool:
    """Whether one node alone holds the trial beside what runs on it."""
    return node.open and _fit(need, [node], {}) is not None


def place(waiting: Sequence[Waiting], nodes: Sequence[Node]) -> Start | None:
    """The one trial to start now; ``None`` when none fits, or what fits would delay one that was overtaken too often.

    ``waiting`` is in the order of proposal. The answer depends on nothing else than the arguments: after each start
    it is to be asked again, with the trial gone and its GPUs and CPUs taken from the nodes.
    """
    open_nodes = [node for node in nodes if node.open]
    reserved: dict[str, Share] = {}
    for trial in _overtaken_too_often(waiting):
        found = _fit(trial.need, open_nodes, reserved, trial.coldness)
        if found is not None:
            return Start(trial.key, found)
        reserved |= _reservation(trial.need, [node for node in open_nodes if node.node_id not in reserved])
    for trial in _largest_first(waiting):
        found = _fit(trial.need, open_nodes, reserved, trial.coldness)
        if found is not None:
            return Start(trial.key, found)
    return None


# ── who goes first ────────────────────────────────────────────────────────────────────────────


def _first_of_each_need(trials: Iterable[Waiting]) -> list[Waiting]:
    """Where one does not fit, those that need the same do not either."""
    first: dict[Need, Waiting] = {}
    for trial in trials:
        first.setdefault(trial.need, trial)
    return list(first.values())


def _overtaken_too_often(waiting: Sequence[Waiting]) -> list[Waiting]:
    """The most overtaken first. In a list that is known from the start, that is the rest of it."""
    often = max(_OFTEN, len(waiting))
    too_often = (trial for trial in waiting if trial.overtaken >= often)
    return _first_of_each_need(sorted(too_often, key=lambda trial: trial.overtaken, reverse=True))


def _largest_first(waiting: Sequence[Waiting]) -> list[Waiting]:
    return _first_of_each_need(sorted(waiting, key=lambda trial: trial.need.size, reverse=True))


# ── where it goes ─────────────────────────────────────────────────────────────────────────────


def _fit(
    need: Need,
    nodes: Sequence[Node],
    reserved: Mapping[str, Share],
    coldness: Callable[[str], float] = _everywhere_cold,
) -> tuple[str, ...] | None:
    """A node for each share, in their order, by best fit, then the warmest; ``None`` where there are none now."""
    return _seats(
        need,
        nodes,
        lambda node, share: _holds(node, share, reserved.get(node.node_id)),
        lambda node, share: (*_leftover(node, share), coldness(node.node_id)),
    )


def _reservation(need: Need, nodes: Sequence[Node]) -> dict[str, Share]:
    """The nodes that lack the least until they hold the trial.

    Nothing that could delay the trial is started on them, so that what they lack only shrinks: the choice changes
    for nodes that come to lack less, never back and forth.
    """
    found = _seats(need, nodes, _could_hold, _lacking)
    return {} if found is None else dict(zip(found, need.shares, strict=True))


def _seats(
    need: Need,
    nodes: Sequence[Node],
    can_hold: Callable[[Node, Share], bool],
    cost: Callable[[Node, Share], tuple[float, ...]],
) -> tuple[str, ...] | None:
    """A node for each share, in their order, all of the GPU type where they cost least; ``None``: no such set."""
    found: list[list[Node]] = []
    of_type: dict[str, list[Node]] = defaultdict(list)
    for node in _allowed(need, nodes):
        of_type[node.accelerator].append(node)
    for of_one_type in of_type.values():
        seats = _matching(need.shares, of_one_type, can_hold, cost)
        if seats is not None:
            found.append(seats)
    if not found:
        return None
    cheapest = min(
        found, key=lambda seats: [(cost(*pair), pair[0].node_id) for pair in zip(seats, need.shares, strict=True)]
    )
    return tuple(node.node_id for node in cheapest)


def _matching(
    shares: Sequence[Share],
    nodes: Sequence[Node],
    can_hold: Callable[[Node, Share], bool],
    cost: Callable[[Node, Share], tuple[float, ...]],
) -> list[Node] | None:
    """Each share on a node of its own, the largest first on the node where it costs least, by augmenting paths: one
    that sits already gives way only where nothing is left for a later one."""
    share_on: dict[str, int] = {}

    def seat(index: int, seen: set[str]) -> bool:
        share = shares[index]
        holders = [node for node in nodes if can_hold(node, share)]
        for node in sorted(holders, key=lambda node: (node.node_id in share_on, cost(node, share), node.node_id)):
            if node.node_id in seen:
                continue
            seen.add(node.node_id)
            if node.node_id not in share_on or seat(share_on[node.node_id], seen):
                share_on[node.node_id] = index
                return True
        return False

    largest_first = sorted(range(len(shares)), key=lambda i: (-shares[i].gpus, -shares[i].cpus))
    if not all(seat(index, set()) for index in largest_first):
        return None
    node_of = {share_on[node.node_id]: node for node in nodes if node.node_id in share_on}
    return [node_of[index] for index in range(len(shares))]


def _allowed(need: Need, nodes: Iterable[Node]) -> list[Node]:
    return [node for node in nodes if node.node_id not in need.avoid and need.takes(node.accelerator)]


def _could_hold(node: Node, share: Share) -> bool:
    """Whether the share fits on the node when it is empty."""
    return share.gpus <= node.gpus and share.cpus <= node.cpus


def _holds(node: Node, share: Share, reserved: Share | None) -> bool:
    """Whether the share fits now, and takes nothing that a reservation on the node counts on."""
    kept_gpus = reserved.gpus if reserved is not None and share.gpus else 0
    kept_cpus = reserved.cpus if reserved is not None and share.cpus else 0.0
    return share.gpus + kept_gpus <= node.free_gpus and share.cpus + kept_cpus <= node.free_cpus


def _leftover(node: Node, share: Share) -> tuple[float, ...]:
    """Small nodes cost less, then small holes. Without GPUs: nodes that have none, then the emptiest."""
    if not share.gpus:
        return node.gpus, -node.free_cpus
    return node.gpus, node.free_gpus - share.gpus, node.free_cpus - share.cpus


def _lacking(node: Node, share: Share) -> tuple[float, ...]:
    """What must get free until the share fits; of nodes that lack the same, the small one."""
    return max(0, share.gpus - node.free_gpus), max(0.0, share.cpus - node.free_cpus), node.gpus
