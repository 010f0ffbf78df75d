"""What a Deployment of Kubernetes says besides the container: nodes, volumes, namespace."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from autotuner.engines.deployment import Deployment, Mount
from autotuner.errors import InputError
from autotuner.manifests.container import container_values
from autotuner.manifests.context import ManifestContext
from autotuner.manifests.names import check_dns_label, check_dns_name, label_value
from autotuner.manifests.server import Server, holds_model

_HUB_CACHE = "HF_HOME"
_HUB_CACHE_DIR = "/weights"


@dataclass(frozen=True)
class Volume:
    """Of ``host_path``, else of the claim: its folder or file ``sub_path``, empty for all of it."""

    name: str
    mount_path: str
    read_only: bool
    host_path: str | None = None
    sub_path: str = ""


def kubernetes_values(deployment: Deployment, context: ManifestContext, server: Server) -> dict[str, Any]:
    """What its template reads. Raises InputError for names and paths that Kubernetes does not take."""
    values = container_values(deployment, context, server)
    _check(context, server)
    config = json.dumps(dict(context.config), sort_keys=True, default=str)
    volumes = _volumes(deployment, context, values)
    is_fetched = context.claim is not None and not deployment.model.startswith("/")
    env = {**({_HUB_CACHE: _HUB_CACHE_DIR} if is_fetched else {}), **values["env"]}
    return {
        **values,
        "env": env,
        "labels": {
            "app.kubernetes.io/name": values["name"],
            "app.kubernetes.io/component": label_value(deployment.engine),
            "app.kubernetes.io/managed-by": "autotuner",
        },
        "annotations": {"autotuner/study": context.study_name, "autotuner/config": config},
        "namespace": context.namespace,
        "claim": context.claim,
        "volumes": volumes,
        "on_claim": [volume for volume in volumes if volume.host_path is None],
        "is_fetched": is_fetched,
        "memory": None if context.memory_gib is None else f"{context.memory_gib}Gi",
        "shm": f"{context.shm_gib}Gi" if server.rank.gpus else None,
        "products": gpu_product_labels(context) if server.rank.gpus else [],
        "has_volumes": bool(values["files"] or volumes or server.rank.gpus),
    }


def gpu_product_labels(context: ManifestContext) -> list[str]:
    """Values of the label nvidia.com/gpu.product: NVML's names, - for spaces.

    Source: NVIDIA/k8s-device-plugin, internal/lm/resource.go. GPUs that several pods share, and slices of one, have
    other values: what was measured does not hold for them.
    """
    return [label_value("-".join(name.split())) for name in context.gpu_products]


def _volumes(deployment: Deployment, context: ManifestContext, values: dict[str, Any]) -> list[Volume]:
    """The mounts; the claim takes the place of that which holds the weights, or is where a hub's are fetched to."""
    found = [_volume(name, mount, deployment, context) for name, mount in values["mounts"]]
    if context.claim is None or any(volume.host_path is None for volume in found):
        return found
    folder = values["env"].get(_HUB_CACHE, _HUB_CACHE_DIR)
    return [*found, Volume("weights", folder, read_only=False)]


def _volume(name: str, mount: Mount, deployment: Deployment, context: ManifestContext) -> Volume:
    if context.claim is not None and holds_model(mount, deployment.model):
        return Volume("weights", mount.target, mount.read_only, sub_path=PurePosixPath(mount.target).name)
    return Volume(name, mount.target, mount.read_only, host_path=mount.source)


def _check(context: ManifestContext, server: Server) -> None:
    if context.namespace is not None:
        check_dns_label(context.namespace, "namespace")
    if context.claim is not None:
        check_dns_name(context.claim, "pvc")
    for mount in server.mounts:
        if ":" in mount.target:
            raise InputError(
                f"Kubernetes can't mount at {mount.target!r}", key="mounts", value=mount.target, rule="a path without :"
            )
