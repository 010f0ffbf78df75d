"""Who else holds GPUs and CPUs of the connected cluster, as Ray's control store tells it: it needs no dashboard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ray._private.state import state as gcs_state
from ray.core.generated import gcs_pb2
from ray.util import placement_group_table

from autotuner.results.waits import Holder
from autotuner.tuning.decisions.placement_policy import Share
from autotuner.tuning.on_ray.session import FOLDER_METADATA, STUDY_METADATA

NOTHING = 1e-4  # of a GPU: Ray counts in steps of this, and its sums are floats
_GONE = ("REMOVED", "INFEASIBLE", "PENDING")  # states of placement groups that hold nothing


@dataclass
class _Held:
    """What one job holds of one node."""

    amounts: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    groups: list[str] = field(default_factory=list)
    actors: list[str] = field(default_factory=list)


def groups_on_nodes(is_counted: Callable[[str], bool]) -> Iterator[tuple[str, str, str, Mapping[str, float]]]:
    """Id, name, node id and resources of each bundle that is held, of the placement groups whose job is counted.

    A group's id ends with its job's.
    """
    for group_id, group in placement_group_table().items():
        if group["state"] in _GONE or not is_counted(group_id[-8:]):
            continue
        for index, node_id in group["bundles_to_node_id"].items():
            yield group_id, group["name"], node_id, group["bundles"][index]


def find_holders(own_job: str, foreign: Mapping[str, Share], name_of: Callable[[str], str]) -> dict[str, list[Holder]]:
    """Node id → who holds what there, less the placement groups of ``own_job``.

    ``foreign``: what is held there in all by others; what of it Ray names nobody for stands under a holder without a
    job. Tasks outside placement groups are such.
    """
    held: dict[tuple[str, str], _Held] = defaultdict(_Held)
    for group_id, name, node_id, bundle in groups_on_nodes(lambda job: job != own_job):
        of_job = held[node_id, group_id[-8:]]
        _add(of_job.amounts, bundle)
        if name and name not in of_job.groups:
            of_job.groups.append(name)
    for actor, node_id, job in _actors():
        if not actor.placement_group_id and _amounts(actor.required_resources):
            _add(held[node_id, job].amounts, actor.required_resources)
        if job != own_job:
            held[node_id, job].actors.append(actor.repr_name or actor.class_name)
    jobs = {job.job_id.hex(): job for job in _jobs()}
    found: dict[str, list[Holder]] = defaultdict(list)
    for (node_id, job_id), of_job in held.items():
        if _amounts(of_job.amounts):
            found[node_id].append(_holder(name_of(node_id), job_id, jobs.get(job_id), of_job))
    for node_id, share in foreign.items():
        rest = _rest(share, found[node_id])
        if rest.gpus or rest.cpus >= 1:
            found[node_id].append(Holder(name_of(node_id), rest.gpus, rest.cpus))
    return found


def _holder(node: str, job_id: str, job: Any, held: _Held) -> Holder:
    amounts = _amounts(held.amounts)
    holder = Holder(
        node=node,
        gpus=amounts.get("GPU", 0.0),
        cpus=amounts.get("CPU", 0.0),
        job_id=job_id,
        placement_groups=tuple(held.groups),
        actors=tuple(dict.fromkeys(held.actors)),
    )
    if job is None:
        return holder
    told = job.config.metadata
    return replace(
        holder,
        study=told.get(STUDY_METADATA, ""),
        folder=told.get(FOLDER_METADATA, ""),
        submission_id=told.get("job_submission_id", ""),
        entrypoint=job.entrypoint,
    )


def _rest(share: Share, found: list[Holder]) -> Share:
    """What is left of ``share`` that nobody in ``found`` holds."""
    gpus = share.gpus - sum(holder.gpus for holder in found)
    cpus = share.cpus - sum(holder.cpus for holder in found)
    return Share(max(0, round(gpus)), max(0.0, cpus))


def _actors() -> Iterator[tuple[Any, str, str]]:
    """Live actors, with their node's id and their job's."""
    accessor = gcs_state._connect_and_get_accessor()
    for written in accessor.get_actor_table(None, "ALIVE"):
        actor = gcs_pb2.ActorTableData.FromString(written)
        yield actor, (actor.node_id or actor.address.node_id).hex(), actor.job_id.hex()


def _jobs() -> Iterator[Any]:
    accessor = gcs_state._connect_and_get_accessor()
    return (gcs_pb2.JobTableData.FromString(written) for written in accessor.get_job_table())


def _add(amounts: dict[str, float], more: Mapping[str, float]) -> None:
    for name, amount in more.items():
        amounts[name] += amount


def _amounts(resources: Mapping[str, float]) -> dict[str, float]:
    return {name: resources[name] for name in ("GPU", "CPU") if resources.get(name, 0.0) > NOTHING}
