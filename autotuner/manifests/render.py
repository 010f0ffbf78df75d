"""render: a Deployment as files that start it somewhere else."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from autotuner.engines.deployment import Deployment, SecretEnv
from autotuner.errors import InputError
from autotuner.manifests.container import RANK0, container_values
from autotuner.manifests.context import ManifestContext
from autotuner.manifests.kubernetes import kubernetes_values
from autotuner.manifests.quoting import Quoted, filters, finalize, required_variable, shell_template
from autotuner.manifests.server import Server, only_server

_STAND_INS = {"llama-server": "autotuner.servers.llamacpp_server"}


def targets() -> tuple[str, ...]:
    """What ``render`` can write."""
    return tuple(_TARGETS)


def render(target: str, deployment: Deployment, context: ManifestContext) -> dict[str, str]:
    """File name → text. Raises InputError for an unknown target or what it can't express."""
    if target not in _TARGETS:
        raise InputError(
            f"there is no export target {target!r}",
            key="target",
            value=target,
            rule=f"one of {', '.join(_TARGETS)}",
        )
    file_name, values = _TARGETS[target]
    server = only_server(deployment)
    environment = Environment(
        loader=PackageLoader("autotuner.manifests"),
        undefined=StrictUndefined,
        finalize=finalize,
        autoescape=False,  # noqa: S701 — no HTML here; finalize refuses what no filter has quoted
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(filters())
    template = environment.get_template(f"{file_name}.j2")
    return {file_name: template.render(header=_header(deployment, context), **values(deployment, context, server))}


def _header(deployment: Deployment, context: ManifestContext) -> list[str]:
    config = json.dumps(dict(context.config), sort_keys=True, ensure_ascii=False, default=str)
    return [
        f"Written by Autotuner for trial {context.trial_id} of study {context.study_name}.",
        f"Engine {deployment.engine} {deployment.engine_version}, model {deployment.model}",
        f"Config {config}",
        *context.summary,
    ]


def _shell_values(deployment: Deployment, context: ManifestContext, server: Server) -> dict[str, Any]:
    argv = server.rank.argv
    return {
        "port": context.port,
        "secrets": server.secrets,
        "executable": shell_template(argv[0], _shell_fields(0)),
        "stand_in": _STAND_INS.get(argv[0]),
        "files": list(server.rank.files.items()),
        "env": [(name, _shell_env(value)) for name, value in server.rank.env.items()],
        "instances": [_shell_lines(argv[1:], _shell_fields(i)) for i in range(server.replicas)],
        "gpus": [",".join(ids) for ids in _gpu_ids(server)],
        "model": deployment.model,
    }


def _shell_lines(words: Sequence[str], fields: Mapping[str, str]) -> list[Quoted]:
    """The words as lines of a command: a flag and its value side by side, for the reader."""
    lines: list[str] = []
    for i, word in enumerate(words):
        quoted = shell_template(word, fields)
        is_value = i > 0 and words[i - 1].startswith("--") and "=" not in words[i - 1] and not word.startswith("-")
        if is_value:
            lines[-1] += f" {quoted}"
        else:
            lines.append(quoted)
    return [Quoted(line) for line in lines]


def _gpu_ids(server: Server) -> list[list[str]]:
    """Which GPUs each replica gets when several share a machine; one alone takes any."""
    gpus = server.rank.gpus
    if server.replicas == 1 or gpus == 0:
        return [[] for _ in range(server.replicas)]
    return [[str(i * gpus + k) for k in range(gpus)] for i in range(server.replicas)]


def _shell_fields(instance: int) -> dict[str, str]:
    port = "${PORT}" if instance == 0 else f"$((PORT + {instance}))"
    rank0 = {"rank0": str(RANK0), "rank0.host": RANK0.host, "rank0.port": str(RANK0.port)}
    return {"host": "${HOST}", "port": port, "files": "${FILES}", **rank0}


def _shell_env(value: str | SecretEnv) -> Quoted:
    if isinstance(value, SecretEnv):
        return required_variable(value.name)
    return shell_template(value, _shell_fields(0))


def _compose_values(deployment: Deployment, context: ManifestContext, server: Server) -> dict[str, Any]:
    values = container_values(deployment, context, server)
    services = [
        (values["name"] if server.replicas == 1 else f"{values['name']}-{i}", context.port + i, gpu_ids)
        for i, gpu_ids in enumerate(_gpu_ids(server))
    ]
    return {
        **values,
        "services": services,
        "shm_size": f"{context.shm_gib}gb",
        "health_url": f"http://127.0.0.1:{context.port}{deployment.health.path}",
        "start_period": f"{math.ceil(context.start_timeout_s)}s",
    }


_Values = Callable[[Deployment, ManifestContext, Server], dict[str, Any]]
_TARGETS: Mapping[str, tuple[str, _Values]] = {
    "shell": ("serve.sh", _shell_values),
    "compose": ("compose.yaml", _compose_values),
    "kubernetes": ("kubernetes.yaml", kubernetes_values),
}
