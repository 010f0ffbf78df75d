"""What a trial reserves, and whether any node can give it. Pure arithmetic; Ray is not loaded for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from autotuner.engines import Deployment, one_engine
from autotuner.errors import CapacityError, InputError
from autotuner.space import SearchSpace, values_to_check
from autotuner.space.config import Config
from autotuner.study.model import Study

Resources = Mapping[str, float]


def bundle(study: Study, config: Config) -> dict[str, float]:
    """CPUs and GPUs of the one bundle that a trial's server and load driver share.

    A Config that the engine refuses still gets a place: the trial then reports why.
    """
    client = {"CPU": float(study.hardware.client_cpus)}
    if study.launcher.kind == "endpoint":
        return client
    try:
        engine, own_study, own_config = one_engine(study, config)
        deployment = engine.deployment(own_study, own_config)
    except InputError:
        return client
    needs = {"CPU": float(reserved_cpus(study, deployment))}
    if deployment.gpus:
        needs["GPU"] = float(deployment.gpus)
    return needs


def reserved_cpus(study: Study, deployment: Deployment) -> int:
    """CPUs of a trial's placement group: its servers' and its load driver's."""
    return deployment.cpus + study.hardware.client_cpus


def reserved_gpus(study: Study, config: Config) -> int:
    """GPUs of a trial's placement group."""
    return int(bundle(study, config).get("GPU", 0))


def fitting(needs: Resources, nodes: Sequence[Resources]) -> int:
    """How many trials that need ``needs`` fit on ``nodes`` at a time."""
    return sum(
        min(math.floor(node.get(resource, 0.0) / amount) for resource, amount in needs.items()) for node in nodes
    )


def check_capacity(needs: Resources, nodes: Sequence[Resources]) -> int:
    """How many trials fit at a time. Raises CapacityError where none does: Ray would wait for ever."""
    count = fitting(needs, nodes)
    if count == 0:
        raise CapacityError(
            f"a trial needs {_listed(needs)}, and no node has that much: {_nodes_listed(nodes)}",
            key="hardware",
            value=dict(needs),
            rule="some node must hold a whole trial",
        )
    return count


def check_space_fits(study: Study, space: SearchSpace, baseline: Config, nodes: Sequence[Resources]) -> int:
    """``check_capacity`` for the baseline and for each parameter's values; returns how many baselines fit at a time.

    A parameter's value is tried on top of the baseline: a study is refused when one of them alone is too much.
    """
    count = check_capacity(bundle(study, baseline), nodes)  # first, so that no parameter is blamed for the hardware
    for name, value in values_to_check(space):
        config = Config({**baseline.values, name: value})
        try:
            check_capacity(bundle(study, config), nodes)
        except CapacityError as error:
            raise CapacityError(
                f"space.parameters.{name}: {value!r}: {error.message}",
                key=f"space.parameters.{name}",
                value=value,
                rule=error.rule,
            ) from error
    return count


def _listed(resources: Resources) -> str:
    return " and ".join(f"{amount:g} {name}" for name, amount in resources.items())


def _nodes_listed(nodes: Sequence[Resources]) -> str:
    told = [_listed({name: node.get(name, 0.0) for name in ("CPU", "GPU")}) for node in nodes]
    return "; ".join(dict.fromkeys(told)) or "the cluster has no node"
