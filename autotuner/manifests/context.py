"""ManifestContext: what a manifest says besides the Deployment itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ManifestContext:
    """Where a Config came from, and how its deployment differs from its trial.

    ``summary`` are lines for the header (objective, score, level). ``image`` replaces the
    Deployment's image or the engine's usual one. ``start_timeout_s`` bounds the start-up probe.

    ``engine_version`` is what the servers of the trial said they were, empty where they did not. ``gpu_products`` are
    the names under which NVML knows the GPUs that it was measured on, ``memory_gib`` what a server needs of its host's
    memory, ``shm_gib`` what of that is shared between its processes. ``namespace`` and ``claim``, a
    PersistentVolumeClaim that holds the weights, are for Kubernetes alone.
    """

    study_name: str
    trial_id: str
    config: Mapping[str, Any] = field(default_factory=dict)
    summary: tuple[str, ...] = ()
    image: str | None = None
    port: int = 8000
    start_timeout_s: float = 900.0
    engine_version: str = ""
    gpu_products: tuple[str, ...] = ()
    memory_gib: int | None = None
    shm_gib: int = 16
    namespace: str | None = None
    claim: str | None = None


@dataclass(frozen=True)
class ExportOptions:
    """What only the one who deploys knows. ``image`` is for every target with containers, the rest for Kubernetes:
    ``pvc`` names a PersistentVolumeClaim for the weights."""

    image: str | None = None
    namespace: str | None = None
    pvc: str | None = None
