"""labels: how a Ray node on this machine tells its GPU type."""

from __future__ import annotations

from autotuner.errors import InputError
from autotuner.servers.machine.gpus_here import gpus_here
from autotuner.servers.machine.node_label import ACCELERATOR_LABEL
from autotuner.study.hardware_profiles import profile_of_device


def node_labels() -> dict[str, str]:
    """The labels for ``ray start --labels``; none without GPUs.

    Raises InputError where the GPUs are of several types, or of one that search_spaces/hardware does not know.
    """
    found = {gpu.name: profile_of_device(gpu.name, gpu.memory_gib) for gpu in gpus_here()}
    unknown = [name for name, profile in found.items() if profile is None]
    names = sorted({profile.name for profile in found.values() if profile is not None})
    if unknown:
        rule = "a GPU of search_spaces/hardware; label the node by hand: autotuner/accelerator=NAME"
        raise InputError(f"{', '.join(unknown)}: {rule}", key="accelerator", value=unknown, rule=rule)
    if len(names) > 1:
        rule = "one GPU type a node: start a Ray node for each, with CUDA_VISIBLE_DEVICES"
        raise InputError(f"{', '.join(names)}: {rule}", key="accelerator", value=names, rule=rule)
    return {ACCELERATOR_LABEL: names[0]} if names else {}
