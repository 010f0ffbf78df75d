"""What the load driver and its worker processes tell each other: one JSON object a line.

driver → worker: ``spec`` (once), then for each load point ``job``, ``go`` and at need ``stop``.
worker → driver: ``ready`` after a spec and after a job, ``result`` after a point, ``error``.
"""

from __future__ import annotations

import base64
import json
from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from autotuner.benchmark.adapters import ModelChoice
from autotuner.benchmark.dialect import Dialect
from autotuner.benchmark.hopeless import LostAt
from autotuner.benchmark.traffic.mix import SourceSpec
from autotuner.benchmark.traffic.prompts import Span
from autotuner.benchmark.traffic.sizing import Sizing, TextSizing, TokenIdSizing


@dataclass(frozen=True)
class ClientSpec:
    """All that a worker needs to know about where to send what."""

    urls: tuple[str, ...]
    models: ModelChoice
    headers: Mapping[str, str]
    api: str  # completions or chat
    body: Mapping[str, Any]  # keys added to every request
    ignore_eos: bool
    min_tokens: bool
    request_timeout_s: float
    seed: int
    cold: bool
    sources: tuple[SourceSpec, ...]
    shared_prefix_tokens: int
    sizing: Sizing
    spans: Mapping[str, Span]
    dialect: Dialect
    insecure: bool

    @property
    def forces_length(self) -> bool:
        return self.ignore_eos or self.min_tokens

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "sizing": {"kind": type(self.sizing).__name__, **asdict(self.sizing)}}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> ClientSpec:
        sizing = dict(data["sizing"])
        kind = TokenIdSizing if sizing.pop("kind") == TokenIdSizing.__name__ else TextSizing
        changed = {
            "urls": tuple(data["urls"]),
            "models": ModelChoice(**{**data["models"], "adapters": tuple(data["models"]["adapters"])}),
            "sources": tuple(SourceSpec(**source) for source in data["sources"]),
            "sizing": kind(**sizing),
            "dialect": Dialect(**data["dialect"]),
            "spans": {level: Span(**span) for level, span in data["spans"].items()},
        }
        return ClientSpec(**{**data, **changed})


@dataclass(frozen=True)
class Job:
    """One worker's share of one load point: its slots or requests are every ``shards``-th."""

    kind: str  # concurrency, rate or speed
    value: float
    arrival: str  # poisson or constant
    requests: int
    first_index: int
    shard: int
    shards: int
    lost_at: tuple[LostAt, ...] = ()

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Job:
        return Job(**{**data, "lost_at": tuple(LostAt(**limit) for limit in data["lost_at"])})

    @property
    def level(self) -> str:
        return f"{self.kind} {self.value:g}"


@dataclass(slots=True)
class Outcome:
    """One request, as the worker knows it; the fields of ``RequestRecord``, times in s since the start."""

    index: int
    warmup: bool
    scheduled_s: float
    sent_s: float
    end_s: float
    first_token_s: float | None = None
    last_token_s: float | None = None
    prompt_tokens: int | None = None
    output_tokens: int | None = None
    expected_output_tokens: int | None = None
    error: str | None = None
    status: int | None = None
    detail: str = ""
    model: str | None = None
    asked_output_tokens: int | None = None
    tokens_by: str | None = None
    first_visible_s: float | None = None
    reasoning_tokens: int | None = None
    chunk_s: array[float] = field(default_factory=lambda: array("d"))

    def to_json(self) -> list[Any]:
        values = [getattr(self, name) for name in _PLAIN]
        return [*values, base64.b64encode(self.chunk_s.tobytes()).decode()]

    @staticmethod
    def from_json(values: list[Any]) -> Outcome:
        outcome = Outcome(*values[:-1])
        outcome.chunk_s.frombytes(base64.b64decode(values[-1]))
        return outcome


_PLAIN = tuple(name for name in Outcome.__slots__ if name != "chunk_s")


@dataclass(frozen=True)
class PointResult:
    """What one worker hands back of one load point."""

    outcomes: tuple[Outcome, ...]
    lag_p99_ms: float
    stopped_early: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "outcomes": [outcome.to_json() for outcome in self.outcomes],
            "lag_p99_ms": self.lag_p99_ms,
            "stopped_early": self.stopped_early,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> PointResult:
        outcomes = tuple(Outcome.from_json(values) for values in data["outcomes"])
        return PointResult(outcomes, data["lag_p99_ms"], data["stopped_early"])


def encode(kind: str, content: Mapping[str, Any] | None = None) -> bytes:
    return json.dumps({"kind": kind, "content": content or {}}, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> tuple[str, dict[str, Any]]:
    message = json.loads(line)
    return message["kind"], message["content"]
