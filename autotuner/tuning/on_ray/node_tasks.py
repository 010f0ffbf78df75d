"""Work that is done once on every node of the cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from autotuner.errors import InfrastructureError
from autotuner.servers import Leftover, find_leftovers, reap
from autotuner.tuning.on_ray.cluster import node_name
from autotuner.tuning.on_ray.session import ray_session

T = TypeVar("T")
_TIMEOUT_S = 120.0


def on_every_node(work: Callable[[], T], timeout_s: float = _TIMEOUT_S) -> dict[str, T]:
    """What ``work`` returns on each live node, by ``host/node id``. It takes no CPU and no GPU from trials.

    Raises InfrastructureError when a node does not answer in time.
    """
    waiting = _start(work)
    try:
        return dict(zip(waiting, ray.get(list(waiting.values()), timeout=timeout_s), strict=True))
    except RayError as error:
        raise InfrastructureError(f"a node of the cluster did not answer: {error}", key="address") from error


def begin_reaping() -> None:
    """Has every node end what dead studies left there. A trial does so too, before its servers start."""
    _start(reap)


def reap_cluster(address: str, *, dry_run: bool) -> dict[str, list[Leftover]]:
    """``reap`` on every node of the cluster at ``address``, or only a look at what it would end."""
    with ray_session(address):
        return on_every_node(find_leftovers if dry_run else reap)


def _start(work: Callable[[], Any]) -> dict[str, Any]:
    """What will be its result, by node."""
    task = ray.remote(num_cpus=0, max_retries=0)(work)
    waiting = {}
    for node in ray.nodes():
        if node["Alive"]:
            there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            waiting[node_name(node)] = task.options(scheduling_strategy=there).remote()
    return waiting
