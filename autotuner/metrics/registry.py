"""Every metric's column, unit, direction, label and formula."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from autotuner.metrics.direction import Direction

STATISTICS = ("mean", "p50", "p90", "p95", "p99")


@dataclass(frozen=True)
class Metric:
    """One metric of a load point. ``formula`` is text for people; ``per_gpu`` marks rates that are divided."""

    column: str
    unit: str
    direction: Direction
    label: str
    formula: str
    per_gpu: bool = False

    def label_for(self, gpus: int) -> str:
        """The label on a machine with so many GPUs: without any, "per GPU" is per server replica."""
        return self.label if gpus else self.label.replace("per GPU", "per replica")


@dataclass(frozen=True)
class LatencyMetric:
    """A latency that every request has one value of (or, for itl, one value a gap)."""

    name: str
    label: str
    formula: str

    def column(self, statistic: str) -> str:
        return f"{self.name}_{statistic}_ms"


LATENCY_METRICS: tuple[LatencyMetric, ...] = (
    LatencyMetric("ttft", "Time to first token", "first token − sent (open loop: − scheduled send)"),
    LatencyMetric(
        "ttft_visible",
        "Time to first visible token",
        "first token that is no reasoning − sent (open loop: − scheduled send), of requests that have one",
    ),
    LatencyMetric(
        "tpot",
        "Time per output token",
        "(e2e − ttft) / (streamed output tokens − 1), of requests whose tokens did not come at once",
    ),
    LatencyMetric(
        "itl",
        "Inter-token latency",
        "gap between two streamed chunks × (chunks − 1) / (streamed output tokens − 1): a chunk is not a token",
    ),
    LatencyMetric("e2e", "End-to-end latency", "last token − sent (open loop: − scheduled send)"),
)

_RATES = (
    ("output_tokens_per_s", "tokens/s", "Output tokens per second", "output tokens in the window / window"),
    ("total_tokens_per_s", "tokens/s", "Total tokens per second", "prompt and output tokens in the window / window"),
    ("requests_per_s", "requests/s", "Requests per second", "requests that ended well in the window / window"),
    ("goodput_per_s", "requests/s", "Goodput", "requests in the window that meet every SLO / window"),
)
RATES = frozenset(column for column, *_ in _RATES)  # of a whole trial


def _latencies() -> Iterator[Metric]:
    for latency in LATENCY_METRICS:
        for statistic in STATISTICS:
            text = "arithmetic mean" if statistic == "mean" else f"percentile {statistic[1:]}, linear interpolation"
            yield Metric(
                latency.column(statistic),
                "ms",
                Direction.MIN,
                f"{latency.label}, {statistic}",
                f"{text} of {latency.formula}",
            )


def _rates() -> Iterator[Metric]:
    for column, unit, label, formula in _RATES:
        yield Metric(column, unit, Direction.MAX, label, formula)
        yield Metric(
            f"{column}_per_gpu",
            f"{unit}/GPU",
            Direction.MAX,
            f"{label} per GPU",
            f"{column} / GPUs (without GPUs: / server replicas)",
            per_gpu=True,
        )


# What servers and GPUs tell. None of these is a goal in itself: the direction is that of less strain or less waste.
_TELEMETRY = (
    ("server_kv_cache_use_max", "1", Direction.MIN, "KV cache use, highest", "largest share of the KV cache in use"),
    ("server_running_mean", "requests", Direction.MAX, "Requests running", "mean of requests being computed"),
    ("server_waiting_mean", "requests", Direction.MIN, "Requests waiting", "mean of requests in the servers' queues"),
    ("server_waiting_max", "requests", Direction.MIN, "Requests waiting, most", "most requests in the servers' queues"),
    ("server_preemptions", "requests", Direction.MIN, "Preemptions", "requests put back for lack of KV cache, summed"),
    (
        "server_prefix_hit_rate",
        "1",
        Direction.MAX,
        "Prefix cache hit rate",
        "prompt tokens found in the prefix cache / looked up; else the mean of what the server tells",
    ),
    (
        "cpu_wait_share",
        "1",
        Direction.MIN,
        "Wait for cores",
        "of the time in which threads of servers and client wanted a core, the share in which they had none",
    ),
    ("gpu_memory_gib_max", "GiB", Direction.MIN, "GPU memory", "largest memory in use of the trial's fullest GPU"),
    (
        "gpu_utilization_mean",
        "1",
        Direction.MAX,
        "GPU utilisation",
        "mean over time and GPUs of NVML's GPU utilisation",
    ),
    ("gpu_power_w_mean", "W", Direction.MIN, "GPU power", "mean power of all the trial's GPUs together"),
    (
        "energy_j_per_token",
        "J/token",
        Direction.MIN,
        "Energy per output token",
        "energy of all the trial's GPUs in the window / output tokens in the window",
    ),
)


METRICS: tuple[Metric, ...] = (
    *_latencies(),
    *_rates(),
    Metric(
        "tokens_per_s_per_user", "tokens/s", Direction.MAX, "Output tokens per second per user", "1000 / tpot_mean_ms"
    ),
    Metric(
        "cost_per_mtok",
        "cost/10^6 tokens",
        Direction.MIN,
        "Cost per million output tokens",
        "cost per hour × 10^6 / (3600 × output_tokens_per_s)",
    ),
    Metric(
        "output_tokens_per_cost",
        "tokens/cost",
        Direction.MAX,
        "Output tokens per unit of cost",
        "3600 × output_tokens_per_s / cost per hour",
    ),
    Metric(
        "goodput_per_cost",
        "requests/cost",
        Direction.MAX,
        "Goodput per unit of cost",
        "3600 × goodput_per_s / cost per hour",
    ),
    Metric(
        "max_load",
        "load",
        Direction.MAX,
        "Largest load that meets the SLOs",
        "of a load search: the load level, in requests in flight or requests/s, where every SLO surely holds there",
    ),
    Metric(
        "max_load_per_gpu",
        "load/GPU",
        Direction.MAX,
        "Largest load that meets the SLOs per GPU",
        "max_load / GPUs (without GPUs: / server replicas)",
        per_gpu=True,
    ),
    Metric("output_tokens_mean", "tokens", Direction.MAX, "Output tokens per answer", "mean over good requests"),
    Metric(
        "output_share",
        "1",
        Direction.MAX,
        "Share of the forced length",
        "output tokens / tokens that were forced, over the requests that were answered",
    ),
    Metric(
        "reasoning_tokens_mean",
        "tokens",
        Direction.MIN,
        "Reasoning tokens per answer",
        "mean over good requests of what the server says was reasoning",
    ),
    Metric("error_rate", "1", Direction.MIN, "Error rate", "failed and wrong-length requests / measured requests"),
    *(Metric(*row) for row in _TELEMETRY),
)

_BY_COLUMN: Mapping[str, Metric] = MappingProxyType({metric.column: metric for metric in METRICS})


def find_metric(column: str) -> Metric | None:
    """The metric of a column, ``None`` for a column that is no metric."""
    return _BY_COLUMN.get(column)
