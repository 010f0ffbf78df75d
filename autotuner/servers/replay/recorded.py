"""What a table says of one Config: its launches, and the load points of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from autotuner.errors import Failure
from autotuner.metrics.load_level import LoadLevel


@dataclass(frozen=True, slots=True)
class RecordedRequest:
    """Times in seconds, ``sent_s`` since the load point's start; ``ttft_s`` and ``e2e_s`` are ``None`` where the
    request failed."""

    sent_s: float
    ttft_s: float | None
    e2e_s: float | None
    output_tokens: int


@dataclass(frozen=True)
class RecordedLevel:
    """One load point: its raw requests in the order in which they were sent, or its metrics by their columns.

    ``failure``: it has no measurement.
    """

    requests: tuple[RecordedRequest, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    failure: Failure | None = None


@dataclass(frozen=True)
class RecordedLaunch:
    """One launch of a Config (a repeat). ``failure``: it did not come up, after ``startup_s`` seconds."""

    startup_s: float
    gpus: int
    levels: Mapping[LoadLevel, RecordedLevel] = field(default_factory=dict)
    failure: Failure | None = None
