"""The placement group of a trial: one bundle for each node that it runs on."""

from __future__ import annotations

from ray import tune

from autotuner.servers.machine.node_label import ACCELERATOR_LABEL
from autotuner.study.model import Study
from autotuner.tuning.decisions.assignment import Assignment
from autotuner.tuning.decisions.capacity import need_of
from autotuner.tuning.decisions.placement_policy import Need, Share
from autotuner.tuning.on_ray.cluster import NODE_LABEL

_REPLAY_CPUS = 0.01  # some is what Ray asks for


def placement_group(study: Study, assignment: Assignment) -> tune.PlacementGroupFactory:
    """Bundle 0 holds the trial's own process, its load driver and the first share of its servers.

    Where the assignment names no nodes Ray chooses them, of the GPU type that the Config asks for.
    """
    if study.launcher.kind == "replay":
        return tune.PlacementGroupFactory([{"CPU": _REPLAY_CPUS}])  # its GPUs are recorded ones
    need = need_of(study, assignment.config)
    strategy = "STRICT_PACK" if len(need.shares) == 1 else "STRICT_SPREAD"
    selectors = _selectors(need, assignment.nodes)
    more = {"bundle_label_selector": selectors} if any(selectors) else {}
    return tune.PlacementGroupFactory([_bundle(share) for share in need.shares], strategy=strategy, **more)


def _bundle(share: Share) -> dict[str, float]:
    bundle = {"CPU": share.cpus}
    return {**bundle, "GPU": float(share.gpus)} if share.gpus else bundle


def _selectors(need: Need, nodes: tuple[str, ...]) -> list[dict[str, str]]:
    """Labels that the node of each bundle must have. A node that was chosen has the right type, known or labelled."""
    if nodes:
        return [{NODE_LABEL: node_id} for node_id in nodes]
    wanted = {ACCELERATOR_LABEL: need.accelerator} if need.accelerator else {}
    return [wanted] * len(need.shares)
