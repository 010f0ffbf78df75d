"""reap: ends what dead studies left behind, on this machine or on every node of a cluster."""

from __future__ import annotations

import os

from autotuner.servers import Leftover, find_leftovers
from autotuner.servers import reap as end_leftovers


def reap(*, dry_run: bool = False, address: str | None = None) -> list[Leftover]:
    """What carries this tool's tags and whose driver is dead; ended unless ``dry_run``."""
    return [left for found in reap_nodes(dry_run=dry_run, address=address).values() for left in found]


def reap_nodes(*, dry_run: bool = False, address: str | None = None) -> dict[str, list[Leftover]]:
    """``reap`` by node: this machine's name, else those of the cluster's nodes at ``address``.

    Raises InfrastructureError when the cluster, or a node of it, does not answer.
    """
    if address is None:
        return {os.uname().nodename: find_leftovers() if dry_run else end_leftovers()}
    from autotuner.tuning.on_ray.node_tasks import reap_cluster

    return reap_cluster(address, dry_run=dry_run)
