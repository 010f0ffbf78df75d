"""What the nodes of the connected cluster can't do for a study, found by asking each of them."""

from __future__ import annotations

import os

from autotuner.errors import StudyError
from autotuner.study.model import Study
from autotuner.tuning.node_tasks import on_every_node

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


def _is_pod() -> bool:
    return _IN_A_POD in os.environ
