"""Which ranks of a Deployment run on one node together. Pure.

servers of one rank        as many on a node as it has GPUs for
servers of several ranks   each rank on a node of its own: a rank is a node's share of its server already
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autotuner.engines.deployment import Deployment, Rank


@dataclass(frozen=True)
class PlacedRank:
    """``server`` counts the servers of a Deployment, replicas included, ``rank`` those of the server."""

    server: int
    rank: int
    spec: Rank


@dataclass(frozen=True)
class NodeShare:
    """What one node runs: one bundle of a trial's placement group."""

    ranks: tuple[PlacedRank, ...]

    @property
    def gpus(self) -> int:
        return sum(placed.spec.gpus for placed in self.ranks)

    @property
    def cpus(self) -> int:
        return sum(placed.spec.cpus for placed in self.ranks)


def node_shares(deployment: Deployment, gpus_per_node: int) -> tuple[NodeShare, ...]:
    """The shares in the order of their servers; the first one holds rank 0 of the first server.

    Servers without GPUs stay together on one node.
    """
    shares: list[list[PlacedRank]] = []
    room = 0
    for ranks in _servers(deployment):
        if len(ranks) > 1:
            shares += [[placed] for placed in ranks]
            room = 0
        elif shares and ranks[0].spec.gpus <= room:
            shares[-1] += ranks
            room -= ranks[0].spec.gpus
        else:
            shares.append(ranks)
            room = gpus_per_node - ranks[0].spec.gpus
    return tuple(NodeShare(tuple(share)) for share in shares)


def _servers(deployment: Deployment) -> Iterator[list[PlacedRank]]:
    server = 0
    for group in deployment.groups:
        for _ in range(group.replicas):
            yield [PlacedRank(server, number, rank) for number, rank in enumerate(group.ranks)]
            server += 1
