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
    """

    study_name: str
    trial_id: str
    config: Mapping[str, Any] = field(default_factory=dict)
    summary: tuple[str, ...] = ()
    image: str | None = None
    port: int = 8000
    start_timeout_s: float = 900.0
