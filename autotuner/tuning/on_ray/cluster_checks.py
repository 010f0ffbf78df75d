"""What the nodes of the connected cluster can't do for a study, found by asking each of them."""

from __future__ import annotations

import os

import ray

from autotuner.errors import StudyError
from autotuner.servers.secrets import needed_variables, unset_variables
from autotuner.study.model import Study
from autotuner.tuning.on_ray.cluster import node_name
from autotuner.tuning.on_ray.node_tasks import on_every_node

_IN_A_POD = "KUBERNETES_SERVICE_HOST"  # Kubernetes sets it in every container


def refuse_docker_in_pods(study: Study) -> None:
    """Raises StudyError where servers would be docker's containers and nodes are pods.

    A pod has no docker daemon of its own; by the host's it would start containers that Kubernetes does not know of, on
    GPUs that it gives to others.
    """
    if study.launcher.kind != "docker":
        return
    pods = [name for name, is_pod in on_every_node(_is_pod).items() if is_pod]
    if pods:
        rule = (
            "on Kubernetes the engine runs inside the worker's image: use the process launcher (kind: process) "
            "and engine.command, which says how the engine starts there"
        )
        raise StudyError(
            f"launcher.kind: docker can't be used on {', '.join(pods[:3])}{' and more' if len(pods) > 3 else ''}, "
            f"which {'is a pod' if len(pods) == 1 else 'are pods'}; {rule}",
            key="launcher.kind",
            value="docker",
            rule=rule,
        )


def nodes_without_secrets(study: Study) -> list[str]:
    """What is to be told of variables that some nodes lack. Raises StudyError for one that no node has."""
    needed = needed_variables(study)
    if not needed:
        return []
    variables = sorted(set(needed.values()))
    answers = on_every_node(lambda: unset_variables(variables))
    trials_run_on = {node_name(node) for node in ray.nodes() if node["Resources"].get("CPU")}
    unset = {node: names for node, names in answers.items() if node in trials_run_on}
    told = []
    for key, variable in needed.items():
        lacking = [node for node, names in unset.items() if variable in names]
        if lacking and len(lacking) == len(unset):
            rule = f"the environment variable {variable} is set on no node: it must be where `ray start` ran"
            raise StudyError(f"{key}: {rule}", key=key, value=variable, rule=rule)
        if lacking:
            told.append(f"{key}: the environment variable {variable} is not set on {', '.join(lacking[:3])}")
    return told


def _is_pod() -> bool:
    return _IN_A_POD in os.environ
