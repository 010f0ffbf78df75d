"""Containers of ours that have GPUs: a GPU that Ray has granted anew may still be in one of them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from autotuner.errors import InfrastructureError
from autotuner.servers.docker.client import FoundContainer, our_containers, remove
from autotuner.servers.docker.labels import GPUS_LABEL, STUDY_LABEL, TRIAL_LABEL, is_left

_PATIENCE_S = 30.0
_POLL_S = 0.5


def wait_until_unheld(gpu_ids: Sequence[str], patience_s: float = _PATIENCE_S) -> None:
    """Returns when no container of ours has one of the GPUs; removes those of the dead.

    Raises InfrastructureError, which names the container, when one is still there after ``patience_s`` seconds.
    """
    if not gpu_ids:
        return
    ends_at = time.monotonic() + patience_s
    while holders := [found for found in our_containers() if _gpus(found) & set(gpu_ids)]:
        first = holders[0]
        if time.monotonic() > ends_at:
            held = ", ".join(sorted(_gpus(first) & set(gpu_ids)))
            whose = f"trial {first.labels.get(TRIAL_LABEL, '')} of study {first.labels[STUDY_LABEL]}"
            raise InfrastructureError(f"GPU {held} is still in container {first.name}, of {whose}")
        for found in holders:
            if is_left(found.labels):
                with contextlib.suppress(InfrastructureError):  # tried again below
                    remove(found.id)
        time.sleep(_POLL_S)


def _gpus(found: FoundContainer) -> set[str]:
    return set(found.labels.get(GPUS_LABEL, "").split(",")) - {""}
