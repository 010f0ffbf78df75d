"""What a server tells about itself, in names that mean the same on every engine.

An engine says which Prometheus metric holds each: ``{ServerMetric.RUNNING: Gauge("vllm:num_requests_running")}``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ServerMetric(StrEnum):
    KV_CACHE_USE = "kv_cache_use"  # share of the KV cache in use, 0 to 1
    RUNNING = "running"  # requests being computed
    WAITING = "waiting"  # requests in the server's queue
    PREEMPTIONS = "preemptions"  # requests put back for lack of KV cache, since the start
    FINISHED = "finished"  # requests answered since the start, whoever asked
    PREFIX_HIT_RATE = "prefix_hit_rate"  # share of prompt tokens found in the prefix cache, 0 to 1


@dataclass(frozen=True)
class Gauge:
    """A value of its own; ``scale`` brings it into the metric's unit (0.01 for per cent).

    ``where`` are (label, value) pairs: of several label sets those count that have these values, or no such label.
    """

    name: str
    scale: float = 1.0
    where: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Counter:
    """A count since the server's start: differences count.

    ``from_first``: it stands on the page from the first count on, so that its absence there is a 0.
    """

    name: str
    from_first: bool = False


@dataclass(frozen=True)
class Ratio:
    """One counter over another: the quotient of their differences. Hits that are not on the page are none."""

    hits: str
    queries: str


@dataclass(frozen=True)
class Share:
    """One of two counters that make a whole: the quotient of its difference and both differences."""

    hits: str
    misses: str


MetricSource = Gauge | Counter | Ratio | Share
