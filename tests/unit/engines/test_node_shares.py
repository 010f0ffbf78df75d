"""Which ranks run on one node together."""

from __future__ import annotations

from autotuner.engines import Deployment, Rank, ServerGroup
from autotuner.engines.node_shares import node_shares


def deployment(*groups: ServerGroup) -> Deployment:
    return Deployment("test", "1", "m", "m", groups)


def shares(given: Deployment, gpus_per_node: int = 8) -> list[list[tuple[int, int]]]:
    return [[(placed.server, placed.rank) for placed in share.ranks] for share in node_shares(given, gpus_per_node)]


def test_each_rank_of_a_server_of_several_has_a_node_of_its_own() -> None:
    given = deployment(ServerGroup((Rank(("s",), gpus=2, cpus=4), Rank(("s",), gpus=2, cpus=3))))
    assert shares(given) == [[(0, 0)], [(0, 1)]]
    assert [(share.gpus, share.cpus) for share in node_shares(given, 8)] == [(2, 4), (2, 3)]


def test_replicas_of_one_rank_fill_nodes() -> None:
    given = deployment(ServerGroup((Rank(("s",), gpus=4),), replicas=3))
    assert shares(given, 8) == [[(0, 0), (1, 0)], [(2, 0)]]
    assert shares(given, 4) == [[(0, 0)], [(1, 0)], [(2, 0)]]


def test_servers_without_gpus_stay_together() -> None:
    assert shares(deployment(ServerGroup((Rank(("s",)),), replicas=3))) == [[(0, 0), (1, 0), (2, 0)]]


def test_what_follows_a_server_of_several_ranks_does_not_join_its_nodes() -> None:
    large = ServerGroup((Rank(("a",), gpus=8), Rank(("a",), gpus=8)))
    small = ServerGroup((Rank(("b",), gpus=1),), role="decode", replicas=2)
    assert shares(deployment(large, small)) == [[(0, 0)], [(0, 1)], [(1, 0), (2, 0)]]
