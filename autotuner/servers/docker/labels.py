"""The labels by which Autotuner knows its own containers, and what they say."""

from __future__ import annotations

import os
from collections.abc import Mapping

from autotuner.servers.supervision.tags import HOLDER, LAUNCH, OWNER, STUDY, TRIAL, Owner

STUDY_LABEL = "autotuner.study"
TRIAL_LABEL = "autotuner.trial"
NODE_LABEL = "autotuner.node"
OWNER_LABEL = "autotuner.owner"
HOLDER_LABEL = "autotuner.holder"  # the process on this node that launched it, as an Owner is written
KEEPER_LABEL = "autotuner.keeper"  # the process on this node that owns this one container
LAUNCH_LABEL = "autotuner.launch"
GPUS_LABEL = "autotuner.gpus"

_BY_TAG = {STUDY: STUDY_LABEL, TRIAL: TRIAL_LABEL, OWNER: OWNER_LABEL, HOLDER: HOLDER_LABEL, LAUNCH: LAUNCH_LABEL}


def labels(tags: Mapping[str, str], gpu_ids: tuple[str, ...]) -> dict[str, str]:
    """Those of a container whose processes carry ``tags``."""
    known = {label: tags[tag] for tag, label in _BY_TAG.items() if tag in tags}
    return {**known, NODE_LABEL: os.uname().nodename, GPUS_LABEL: ",".join(gpu_ids)}


def is_left(found: Mapping[str, str]) -> bool:
    """Whether the process that launched it, or the one that owns it, ran on this host and is dead."""
    return any(Owner.is_dead_here(found.get(label, "")) for label in (HOLDER_LABEL, KEEPER_LABEL))


def is_orphaned(found: Mapping[str, str]) -> bool:
    """``is_left``, or its driver ran on this host and is dead: then what launched it ends within seconds.

    Till then a container that is taken away looks to its trial like a server that crashed.
    """
    return is_left(found) or Owner.is_dead_here(found.get(OWNER_LABEL, ""))
