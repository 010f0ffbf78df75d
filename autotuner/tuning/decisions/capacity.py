"""What a trial reserves, and whether any node can give it. Pure arithmetic; Ray is not loaded for it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from autotuner.engines import Deployment, one_engine
from autotuner.engines.node_shares import node_shares
from autotuner.engines.nodes import gpus_per_node
from autotuner.engines.settings import ACCELERATOR
from autotuner.engines.study_space import searched_accelerators
from autotuner.errors import CapacityError, InputError
from autotuner.space import SearchSpace, values_to_check
from autotuner.space.config import Config
from autotuner.study.model import Study
from autotuner.tuning.decisions.placement_policy import Need, Node, Share, fits_ever, place
from autotuner.tuning.decisions.placement_policy import Waiting as WaitingTrial

_MOST_COUNTED = 1000


def need_of(study: Study, config: Config) -> Need:
    """What a trial of this Config reserves: a share of each node it runs on, the load driver's CPUs in the first.

    A Config that the engine refuses still gets a place: the trial then reports why.
    """
    client = float(study.hardware.client_cpus) if study.launcher.kind != "replay" else 0.0
    deployment = _deployment(study, config)
    if deployment is None:
        return Need((Share(0, client),))
    shares = [Share(share.gpus, float(share.cpus)) for share in node_shares(deployment, gpus_per_node(study))]
    shares[0] = dataclasses.replace(shares[0], cpus=shares[0].cpus + client)
    return Need(tuple(shares), _accelerator(study, config) if deployment.gpus else "")


def bundle(study: Study, config: Config) -> dict[str, float]:
    """CPUs and GPUs that a trial reserves, over all its nodes."""
    return _total(need_of(study, config))


def fitting(need: Need, nodes: Sequence[Node]) -> int:
    """How many such trials fit on the empty nodes at a time; of several shares, above 1,000 it is not counted on."""
    free = [dataclasses.replace(node, free_gpus=node.gpus, free_cpus=node.cpus, open=True) for node in nodes]
    if len(need.shares) == 1:
        share = need.shares[0]
        return sum(_times(share, node) for node in free if need.takes(node.accelerator))
    count = 0
    while count < _MOST_COUNTED and (start := place([WaitingTrial("", need)], free)) is not None:
        taken = dict(zip(start.nodes, need.shares, strict=True))
        free = [_without(node, taken.get(node.node_id)) for node in free]
        count += 1
    return count


def misfit(need: Need, nodes: Sequence[Node]) -> str | None:
    """Why no node, or no set of nodes, can ever hold the trial; ``None`` when they can."""
    if fits_ever(need, nodes):
        return None
    lacks = "the cluster has no such set" if len(need.shares) > 1 else "no node has that much"
    return f"a trial needs {need_text(need)}, and {lacks}: {_nodes_listed(nodes)}"


def need_text(need: Need) -> str:
    """What a trial needs, in words."""
    where = f" of {need.accelerator}" if need.accelerator else ""
    each = _listed(need.shares[0])
    if len(need.shares) > 1:
        return f"{len(need.shares)} nodes of one GPU type{where}, the first with {each}"
    return f"{each}{where}"


def fitting_by_type(needs: Sequence[Need], nodes: Sequence[Node]) -> dict[str, int]:
    """How many trials fit at a time on each GPU type, by what the default needs of it."""
    return {need.accelerator: fitting(need, nodes) for need in needs}


def check_capacity(need: Need, nodes: Sequence[Node]) -> None:
    """Raises CapacityError where no node, or set of nodes, holds a trial: Ray would wait for ever."""
    reason = misfit(need, nodes)
    if reason is not None:
        rule = "some node must hold a whole trial, or each rank of one"
        raise CapacityError(reason, key="hardware", value=_total(need), rule=rule)


def misfit_values(study: Study, space: SearchSpace, baseline: Config, nodes: Sequence[Node]) -> list[str]:
    """The values of parameters that are too much for every node, each tried on top of the baseline, with the reason.

    Configs that have them are never proposed.
    """
    told = []
    for name, value in values_to_check(space):
        reason = misfit(need_of(study, Config({**baseline.values, name: value})), nodes)
        if reason is not None:
            told.append(f"{name}: {value!r}: {reason}")
    return told


def deployment_of(study: Study, config: Config) -> Deployment:
    """What a trial of the Config starts, or what stands in for it. Raises InputError where there can be none."""
    if study.launcher.kind == "replay":
        from autotuner.servers.replay.lookup import replayed_deployment  # reads the study's table

        return replayed_deployment(study, config)
    engine, own_study, own_config = one_engine(study, config)
    return engine.deployment(own_study, own_config)


def _deployment(study: Study, config: Config) -> Deployment | None:
    if study.launcher.kind == "endpoint":
        return None
    try:
        return deployment_of(study, config)
    except InputError:
        return None


def _accelerator(study: Study, config: Config) -> str:
    """The GPU type that the trial must run on; ``""``: any, where the study names none."""
    types = searched_accelerators(study)
    return str(config.values.get(ACCELERATOR, types[0] if types else ""))


def _times(share: Share, node: Node) -> int:
    by_cpus = math.floor(node.free_cpus / share.cpus) if share.cpus else _MOST_COUNTED
    return min(by_cpus, node.free_gpus // share.gpus) if share.gpus else by_cpus


def _without(node: Node, share: Share | None) -> Node:
    if share is None:
        return node
    return dataclasses.replace(node, free_gpus=node.free_gpus - share.gpus, free_cpus=node.free_cpus - share.cpus)


def _total(need: Need) -> dict[str, float]:
    total = {"CPU": sum(share.cpus for share in need.shares)}
    gpus = sum(share.gpus for share in need.shares)
    return {**total, "GPU": float(gpus)} if gpus else total


def _listed(share: Share) -> str:
    return f"{share.cpus:g} CPU" + (f" and {share.gpus} GPU" if share.gpus else "")


def _nodes_listed(nodes: Sequence[Node]) -> str:
    told = [f"{n.cpus:g} CPU and {n.gpus} GPU" + (f" ({n.accelerator})" if n.accelerator else "") for n in nodes]
    return "; ".join(dict.fromkeys(told)) or "the cluster has no node"
