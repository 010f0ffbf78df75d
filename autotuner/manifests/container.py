"""A server in a container: what every such target says of it."""

from __future__ import annotations

import math
from typing import Any

from autotuner.engines.deployment import Address, Deployment, SecretEnv
from autotuner.manifests.context import ManifestContext
from autotuner.manifests.images import choose_image
from autotuner.manifests.names import object_name
from autotuner.manifests.server import Server

RANK0 = Address("127.0.0.1", 29500)
_PROBE_PERIOD_S = 5
_FILES_DIR = "/etc/autotuner/files"


def container_values(deployment: Deployment, context: ManifestContext, server: Server) -> dict[str, Any]:
    """What the templates of all targets that run containers read."""
    image = choose_image(deployment, server.rank.argv[0], context.image, context.engine_version)
    own = Address("0.0.0.0", context.port)  # noqa: S104 — inside its container
    argv = server.rank.bound_argv(own, RANK0, _FILES_DIR)
    env = server.rank.bound_env(own, RANK0, _FILES_DIR)
    return {
        "name": object_name(context.study_name, context.trial_id),
        "image": image,
        "argv": [image.executable or argv[0], *argv[1:]],
        "env": {name: value for name, value in env.items() if not isinstance(value, SecretEnv)},
        "secret_env": {name: value.name for name, value in env.items() if isinstance(value, SecretEnv)},
        "secrets": server.secrets,
        "files": [(f"file-{i}", path, text) for i, (path, text) in enumerate(server.rank.files.items())],
        "files_dir": _FILES_DIR,
        "mounts": [(f"mount-{i}", mount) for i, mount in enumerate(server.mounts)],
        "model": deployment.model,
        "health": deployment.health.path,
        "ready": deployment.ready.path,
        "port": context.port,
        "replicas": server.replicas,
        "cpus": server.rank.cpus,
        "gpus": server.rank.gpus,
        "probe_period_s": _PROBE_PERIOD_S,
        "start_probes": max(1, math.ceil(context.start_timeout_s / _PROBE_PERIOD_S)),
    }
