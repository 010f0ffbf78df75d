"""Telemetry: what servers and GPUs told of themselves while a load point ran."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TelemetrySample:
    """One moment; ``None`` where something was not told then: servers and GPUs are asked at times of their own.

    ``at_s`` is on the load point's own clock (0 = its start); the last sample before 0 and the one after the end
    are there for the counts, of which only differences mean anything. All replicas and all GPUs of the trial are
    taken together: summed, but for ``kv_cache_use`` and ``gpu_memory_gib`` (the fullest one) and
    ``prefix_hit_rate`` and ``gpu_utilization`` (their mean).
    """

    at_s: float
    kv_cache_use: float | None = None  # share of the KV cache, 0 to 1
    running: float | None = None  # requests being computed
    waiting: float | None = None  # requests in the servers' queues
    preemptions: float | None = None  # count
    prefix_hits: float | None = None  # count of prompt tokens found in the prefix cache …
    prefix_queries: float | None = None  # … of so many that were looked up
    prefix_hit_rate: float | None = None  # 0 to 1, where a server tells no counts
    gpu_memory_gib: float | None = None
    gpu_utilization: float | None = None  # 0 to 1
    gpu_power_w: float | None = None
    gpu_energy_j: float | None = None  # count
    gpu_strangers: float | None = None  # processes of others on the trial's GPUs
    finished: float | None = None  # count of requests that the servers have answered, whoever asked
    cpu_run_s: float | None = None  # count: seconds for which threads of servers and client had a core …
    cpu_wait_s: float | None = None  # … and for which they wanted one and had none
    cpu_others_s: float | None = None  # count: seconds for which others had the trial's cores, a core


@dataclass(frozen=True, slots=True)
class Increase:
    """By how much a count grew, and in how many seconds."""

    count: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The samples of one run of a load point, in the order of their times; ``missed`` counts failed attempts."""

    samples: tuple[TelemetrySample, ...] = ()
    missed: int = 0

    def told(self, name: str) -> list[tuple[float, float]]:
        """Times and values of a field, where it was told."""
        return [(sample.at_s, value) for sample in self.samples if (value := getattr(sample, name)) is not None]

    def increase(self, name: str) -> Increase | None:
        """Of a count, from the last one before the run's start, else its first, to its last one.

        A restart of the server makes it unknown.
        """
        told = self.told(name)
        first = max(0, sum(1 for at_s, _ in told if at_s <= 0.0) - 1)
        if first >= len(told) - 1:
            return None
        (began_s, before), (ended_s, after) = told[first], told[-1]
        return Increase(after - before, ended_s - began_s) if after >= before else None
