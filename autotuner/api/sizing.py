"""How large a server is to be: the GPUs there are, and what the model needs of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autotuner.errors import InputError
from autotuner.models.facts import ModelFacts
from autotuner.models.find import find_model_facts
from autotuner.models.registered import nearest_registered
from autotuner.servers.machine.gpus_here import FoundGpu, gpus_here
from autotuner.space.memory import GIB, LEAST_OVERHEAD_GIB, kv_bytes_per_token_per_gpu, weight_bytes_per_gpu
from autotuner.space.parallelism import Parallelism
from autotuner.study.hardware_profiles import HardwareProfile, find_profile, hardware_profiles, profile_of_device

_LLAMACPP = "llamacpp"
# Shares of a GPU's memory. Engines take about 0.9 of it by default.
_FOR_WEIGHTS = 0.8
_FOR_WEIGHTS_AND_CACHE = 0.85
_LEAST_CONTEXT = 2048
_TYPE = "accelerator_type:"  # how Ray names a GPU type among a node's resources


@dataclass(frozen=True)
class Sizing:
    """GPUs of one server at most, their type where it is known, and the degrees of tensor parallelism to try."""

    gpus: int
    accelerators: tuple[str, ...] = ()
    tp: tuple[int, ...] = ()
    is_moe: bool = False
    about_model: str = ""
    about_tp: str = ""
    context: int | None = None  # tokens; None: the model's own


def size_up(engine: str, model: str, gpus: int | None, accelerator: str | None, address: str | None) -> Sizing:
    """Raises InputError when there is no GPU, or the model does not fit on as many as there are."""
    if gpus is not None and gpus < 0:
        raise InputError(f"--gpus {gpus}: 0 or more", key="gpus", value=gpus, rule="0 or more")
    profile = find_profile(accelerator) if accelerator is not None else None
    if engine == _LLAMACPP:  # on the CPU unless GPUs are asked for
        return Sizing(gpus or 0, _names(profile) if gpus else ())
    facts = find_model_facts(model)
    about = _about(facts, model)
    found = _found(address) if gpus is None or profile is None else Found()
    if gpus is None:
        gpus = found.count
        if not gpus:
            where = f"the cluster at {address}" if address else "this machine"
            rule = "how many GPUs a server may have; 0 to serve on the CPU"
            raise InputError(f"gpus: none was found on {where}: give --gpus N ({rule})", key="gpus", rule=rule)
    if gpus and profile is None:
        profile = found.profile
    is_moe = facts is not None and facts.is_moe
    if not gpus:
        return Sizing(0, is_moe=is_moe, about_model=about)
    least = _least(facts, profile, gpus, model)
    degrees = tuple(degree for degree in _degrees(facts, gpus) if degree >= least)
    about_tp = _about_tp(facts, profile, least, gpus)
    return Sizing(gpus, _names(profile), degrees, is_moe, about, about_tp, _context(facts, profile, least))


# ── the machine ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Found:
    """GPUs of one machine, and their type where it is known."""

    count: int = 0
    profile: HardwareProfile | None = None


def _found(address: str | None) -> Found:
    if address is None:
        here = gpus_here()
        return Found(len(here), _profile_of(here[0]) if here else None)
    from autotuner.tuning.on_ray.session import node_resources, ray_session

    with ray_session(address):
        return found_on_nodes(node_resources())


def found_on_nodes(nodes: Sequence[Mapping[str, float]]) -> Found:
    """What the node with the most GPUs has, by Ray's resources of each.

    Ray's name of a GPU type tells no memory: where several types begin with it, it says too little.
    """
    largest = max(nodes, key=lambda node: node.get("GPU", 0), default={})
    labels = [name.removeprefix(_TYPE) for name in largest if name.startswith(_TYPE)]
    matching = [p for p in hardware_profiles() if any(p.name.startswith(f"{label}-") for label in labels)]
    return Found(int(largest.get("GPU", 0)), matching[0] if len(matching) == 1 else None)


def _profile_of(gpu: FoundGpu) -> HardwareProfile | None:
    return profile_of_device(gpu.name, gpu.memory_gib)


def _names(profile: HardwareProfile | None) -> tuple[str, ...]:
    return () if profile is None else (profile.name,)


# ── the model ─────────────────────────────────────────────────────────────────────────────────


def _degrees(facts: ModelFacts | None, gpus: int) -> list[int]:
    """Degrees of tensor parallelism: powers of two up to the GPUs there are, of which each divides the heads."""
    degrees = [2**power for power in range(gpus.bit_length()) if 2**power <= gpus]
    heads = facts.attention_heads if facts is not None else None
    return [degree for degree in degrees if not heads or heads % degree == 0]


def _least(facts: ModelFacts | None, profile: HardwareProfile | None, gpus: int, model: str) -> int:
    """The smallest degree at which the weights leave room for a KV cache; 1 where too little is known."""
    weights = _weights_gib(facts)
    if profile is None or weights is None:
        return 1
    room = profile.memory_gib * _FOR_WEIGHTS
    fitting = [degree for degree in _degrees(facts, gpus) if weights / degree <= room]
    if fitting:
        return fitting[0]
    needed = next((2**power for power in range(12) if weights / 2**power <= room), None)
    rule = f"the weights of {model} are {weights:.0f} GiB, and {gpus} × {profile.name} has room for {room * gpus:.0f}"
    hint = f"; give --gpus {needed}" if needed else ""
    raise InputError(f"--gpus {gpus}: {rule}{hint}", key="gpus", value=gpus, rule=rule, nearest=str(needed or ""))


def _weights_gib(facts: ModelFacts | None, tp: int = 1) -> float | None:
    """GiB of weights on each of ``tp`` GPUs; ``None`` where it is not known."""
    weights = None if facts is None else weight_bytes_per_gpu(facts, Parallelism(tp=tp))
    return None if weights is None else weights / GIB


def _context(facts: ModelFacts | None, profile: HardwareProfile | None, tp: int) -> int | None:
    """Tokens of context to serve where the model's own would not fit beside its weights; ``None`` where it does.

    A power of two, so that a server starts: engines want room for one request of the full length.
    """
    weights = _weights_gib(facts, tp)
    if facts is None or profile is None or weights is None or facts.default_positions is None:
        return None
    token = kv_bytes_per_token_per_gpu(facts, Parallelism(tp=tp), growing_alone=True)
    room = (profile.memory_gib * _FOR_WEIGHTS_AND_CACHE - weights - LEAST_OVERHEAD_GIB) * GIB
    if not token or facts.default_positions * token <= room:
        return None
    return max(_LEAST_CONTEXT, 1 << int(math.log2(max(1.0, room / token))))


def _about(facts: ModelFacts | None, model: str) -> str:
    if facts is None:
        nearest = nearest_registered(model)
        hint = f"; the nearest that is known is {nearest}" if nearest else ""
        return f"its files are not on this machine: nothing is known of its size{hint}"
    parts = [facts.family]
    if facts.parameters:
        parts.append(f"{facts.parameters / 1e9:.3g} billion parameters")
    if facts.is_moe:
        parts.append(f"{facts.active_experts} of {facts.experts} experts at a time")
    return ", ".join([*parts, *([facts.quantization] if facts.quantization else [])])


def _about_tp(facts: ModelFacts | None, profile: HardwareProfile | None, least: int, gpus: int) -> str:
    weights = _weights_gib(facts)
    upto = f"up to the {gpus} GPUs of a server" if gpus > 1 else "one GPU"
    if weights is None or profile is None:
        return upto
    return f"{weights:.3g} GiB of weights fit on {least} × {profile.name}; {upto}"
