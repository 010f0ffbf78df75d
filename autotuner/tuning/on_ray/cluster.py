"""The nodes of the connected Ray cluster as placement sees them: their GPU type, and what is free on them."""

from __future__ import annotations

import contextlib
import math
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import ray
from ray._private.state import available_resources_per_node
from ray._private.state import state as gcs_state
from ray.util import placement_group_table

from autotuner.results.waits import Holder
from autotuner.servers.machine.node_label import ACCELERATOR_LABEL
from autotuner.study.hardware_profiles import hardware_profiles, known_profile
from autotuner.tuning.decisions.placement_policy import Need, Node, Share
from autotuner.tuning.decisions.waiting_line import held_up
from autotuner.tuning.on_ray.holders import NOTHING, find_holders, groups_on_nodes

NODE_LABEL = "ray.io/node-id"  # Ray sets it on every node
_FRESH_S = 1.0
_TYPE = "accelerator_type:"  # how Ray names a GPU type among a node's resources

Taken = Mapping[str, Sequence[Share]]


class Cluster:
    """Asks Ray for its nodes once a second at most: they may join, leave or be drained while a study runs."""

    def __init__(self) -> None:
        self._asked_at = float("-inf")
        self._totals: list[Node] = []
        self._foreign: dict[str, Share] = {}
        self._names: dict[str, str] = {}

    def nodes(self, taken: Taken | None = None) -> list[Node]:
        """Live nodes, less what other users of the cluster hold and what the study's own trials have ``taken``."""
        self._refresh()
        taken = taken or {}
        return [_less(node, [*taken.get(node.node_id, ()), self._held_by_others(node)]) for node in self._totals]

    def unshared(self, taken: Taken) -> list[Node]:
        """As ``nodes``, if nobody else held anything."""
        self._refresh()
        return [_less(node, taken.get(node.node_id, ())) for node in self._totals]

    def held_up_in_ray(self) -> Need | None:
        """What of this job waits in Ray for its place, and would not if nobody else held anything."""
        taken = {node_id: [_share(held)] for node_id, held in _own_groups().items()}
        needs = (Need(tuple(map(_share, bundles))) for bundles in _own_waiting_groups())
        return held_up(needs, self.nodes(taken), self.unshared(taken))

    def holders(self, need: Need) -> list[Holder]:
        """Who else holds what on the nodes where a trial could go; nobody where this Ray does not tell."""
        self._refresh()
        own_job = ray.get_runtime_context().get_job_id()
        there = [node.node_id for node in self._totals if need.takes(node.accelerator) and _has_any(node, need)]
        foreign = {node_id: self._foreign[node_id] for node_id in there if node_id in self._foreign}
        found: Mapping[str, Sequence[Holder]] = {}
        with contextlib.suppress(AttributeError):  # Ray offers it nowhere public
            found = find_holders(own_job, foreign, self.name_of)
        return [holder for node_id in there for holder in found.get(node_id, ())]

    def name_of(self, node_id: str) -> str:
        """A node as people know it (see ``node_name``)."""
        return self._names.get(node_id, node_id[:8])

    def is_alive(self, node_id: str) -> bool:
        self._refresh()
        return any(node.node_id == node_id for node in self._totals)

    def _held_by_others(self, node: Node) -> Share:
        return self._foreign.get(node.node_id, Share(0, 0.0))

    def _refresh(self) -> None:
        if time.monotonic() - self._asked_at < _FRESH_S:
            return
        alive = [node for node in ray.nodes() if node["Alive"]]
        draining = _draining()
        self._totals = [_as_node(node, node["NodeID"] not in draining) for node in alive]
        self._names |= {node["NodeID"]: node_name(node) for node in alive}
        self._foreign = _foreign(self._totals)
        self._asked_at = time.monotonic()


def node_name(node: Mapping[str, Any]) -> str:
    """One of ``ray.nodes()`` as people know it: its host name, and the start of its id."""
    return f"{node['NodeManagerHostname']}/{node['NodeID'][:8]}"


def accelerator_of(labels: Mapping[str, str], resources: Mapping[str, float]) -> str:
    """A node's GPU type under its name in search_spaces/hardware; ``""`` where it is not known.

    By our own label; without it by Ray's resource, where only one type goes by that name.
    """
    told = labels.get(ACCELERATOR_LABEL, "")
    if told:
        profile = known_profile(told)
        return told if profile is None else profile.name
    names = [name.removeprefix(_TYPE) for name in resources if name.startswith(_TYPE)]
    matching = [p.name for p in hardware_profiles() if any(p.name.startswith(f"{name}-") for name in names)]
    return matching[0] if len(matching) == 1 else ""


def accelerator_here() -> str:
    """The GPU type of the node that this process runs on, by its label or Ray's; ``""`` where neither tells."""
    here = ray.get_runtime_context().get_node_id()
    mine = next((node for node in ray.nodes() if node["NodeID"] == here), None)
    return "" if mine is None else accelerator_of(mine.get("Labels") or {}, mine["Resources"])


def _as_node(node: Mapping[str, Any], is_open: bool) -> Node:
    resources = node["Resources"]
    gpus, cpus = int(resources.get("GPU", 0)), float(resources.get("CPU", 0))
    return Node(
        node_id=node["NodeID"],
        accelerator=accelerator_of(node.get("Labels") or {}, resources),
        gpus=gpus,
        cpus=cpus,
        free_gpus=gpus,
        free_cpus=cpus,
        open=is_open,
    )


def _less(node: Node, held: Sequence[Share]) -> Node:
    free_gpus = max(0, node.gpus - sum(share.gpus for share in held))
    return replace(node, free_gpus=free_gpus, free_cpus=max(0.0, node.cpus - sum(share.cpus for share in held)))


def _has_any(node: Node, need: Need) -> bool:
    """Whether the node has any of what the trial needs most."""
    return node.gpus > 0 or not any(share.gpus for share in need.shares)


def _draining() -> frozenset[str]:
    """Ids of nodes that Ray was told to drain (``ray drain-node``); Ray offers it nowhere public."""
    with contextlib.suppress(AttributeError):
        return frozenset(gcs_state.get_draining_nodes())
    return frozenset()


def _foreign(nodes: Sequence[Node]) -> dict[str, Share]:
    """What is reserved on each node by others: all that is taken, less this job's own placement groups."""
    available = available_resources_per_node()
    own = _own_groups()
    found = {}
    for node in nodes:
        free = available.get(node.node_id)
        if free is None:
            continue
        gpus = node.gpus - free.get("GPU", 0.0) - own[node.node_id].get("GPU", 0.0)
        cpus = node.cpus - free.get("CPU", 0.0) - own[node.node_id].get("CPU", 0.0)
        found[node.node_id] = Share(max(0, math.ceil(gpus - NOTHING)), max(0.0, cpus))  # a part of one takes it all
    return found


def _own_groups() -> dict[str, dict[str, float]]:
    """Node id → resources of this job's placement groups there."""
    own_job = ray.get_runtime_context().get_job_id()
    held: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for _, _, node_id, bundle in groups_on_nodes(lambda job: job == own_job):
        for name, amount in bundle.items():
            held[node_id][name] += amount
    return held


def _own_waiting_groups() -> Iterator[Sequence[Mapping[str, float]]]:
    """The bundles of each of this job's placement groups that has no place yet."""
    own_job = ray.get_runtime_context().get_job_id()
    for group_id, group in placement_group_table().items():
        if group_id.endswith(own_job) and group["state"] == "PENDING":
            yield list(group["bundles"].values())


def _share(amounts: Mapping[str, float]) -> Share:
    return Share(math.ceil(amounts.get("GPU", 0.0) - NOTHING), amounts.get("CPU", 0.0))
