"""Parallelism: how one server is laid over GPUs, in names that mean the same on every engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Parallelism:
    """Degrees of parallelism of one server, each 1 where it is not used.

    ``tp`` tensor, ``pp`` pipeline, ``dp`` data (inside the server), ``ep`` expert, ``dcp`` decode context,
    ``cp`` context; ``moe_tp`` and ``moe_ep`` split the experts alone. How many GPUs they make is the
    engine's: ``Engine.gpus``.
    """

    tp: int = 1
    pp: int = 1
    dp: int = 1
    ep: int = 1
    dcp: int = 1
    cp: int = 1
    moe_tp: int = 1
    moe_ep: int = 1

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Parallelism:
        """What a Config's values say, 1 where they say nothing."""
        return cls(**{name: values[name] for name in PARALLELISM_NAMES if values.get(name) is not None})

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in PARALLELISM_NAMES}


PARALLELISM_NAMES: tuple[str, ...] = tuple(field.name for field in fields(Parallelism))

# The names of the presets that engines have, each a combination of degrees of its own.
PARALLELISM_PRESETS = (
    "single-gpu",
    "high-throughput",
    "large-model-tp",
    "large-model-tp-pp",
    "moe-optimized",
    "long-context",
    "balanced",
)
