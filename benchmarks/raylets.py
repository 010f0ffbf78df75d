"""A Ray cluster of several nodes on this machine, with logical GPUs, for benchmarks and tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ray.cluster_utils import Cluster

from autotuner.servers.machine.node_label import ACCELERATOR_LABEL
from autotuner.tuning.on_ray.own_ray import own_token

_ANSWER = "counted:"
_OBJECT_STORE_BYTES = 80 * 1024 * 1024


@dataclass(frozen=True)
class NodeKind:
    """A node as Ray is told of it; its GPUs and CPUs are numbers only. ``env``: of all that runs on it."""

    gpus: int
    accelerator: str = ""
    cpus: int = 64
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Raylets:
    """A head without CPUs or GPUs for trials, and nodes that may be killed and added."""

    cluster: Any
    nodes: list[Any] = field(default_factory=list)

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self, kind: NodeKind) -> Any:
        """Starts a node; returns Ray's handle of it, of which ``node_id`` is public."""
        labels = {ACCELERATOR_LABEL: kind.accelerator} if kind.accelerator else {}
        node = self.cluster.add_node(
            num_cpus=kind.cpus,
            num_gpus=kind.gpus,
            labels=labels,
            env_vars=dict(kind.env),
            object_store_memory=_OBJECT_STORE_BYTES,
        )
        self.nodes.append(node)
        return node

    def placement_groups(self) -> int:
        return count_placement_groups(self.address)

    def kill(self, node: Any) -> None:
        """kill -9 of its raylet, and of all that Ray started for the node."""
        self.nodes.remove(node)
        self.cluster.remove_node(node, allow_graceful=False)


def count_placement_groups(address: str) -> int:
    """Groups that hold something, of any job."""
    return _count(address, "group['state'] != 'REMOVED' for group in ray.util.placement_group_table().values()")


def count_nodes(address: str) -> int:
    """Live nodes, the head included."""
    return _count(address, "node['Alive'] for node in ray.nodes()")


def _count(address: str, what: str) -> int:
    """A separate process asks, so that this one may connect elsewhere."""
    connect = f"import ray; ray.init(address={address!r}, log_to_driver=False, logging_level='ERROR')"
    code = f"{connect}; print({_ANSWER!r}, sum({what}))"
    asked = [sys.executable, "-c", code]
    answer = subprocess.run(asked, capture_output=True, text=True, timeout=120, check=True)
    [count] = [line.split()[1] for line in answer.stdout.splitlines() if line.startswith(_ANSWER)]  # Ray prints too
    return int(count)


@contextmanager
def raylets(kinds: Sequence[NodeKind]) -> Iterator[Raylets]:
    """Starts the nodes, and ends all of them with the context; clients need the token that the environment then has."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    head = {"num_cpus": 0, "num_gpus": 0, "object_store_memory": _OBJECT_STORE_BYTES, "include_dashboard": False}
    with own_token():
        running = Raylets(Cluster(initialize_head=True, head_node_args=head))
        try:
            for kind in kinds:
                running.add(kind)
            running.cluster.wait_for_nodes()
            yield running
        finally:
            running.cluster.shutdown()
