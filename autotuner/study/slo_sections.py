"""The section of a study about what the service must keep to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from autotuner.study._forms import Section


class SloTerm(Section):
    """One limit on one statistic of a latency."""

    threshold_ms: Annotated[float, Field(gt=0, description="The limit")]
    weight: Annotated[float, Field(gt=0, description="How much a violation counts")] = 1.0
    hard_fail: Annotated[bool, Field(description="Whether a large violation makes the load point infeasible")] = False
    fail_ratio: Annotated[float, Field(ge=0, description="What is large: this share above the limit")] = 0.5
    fail_fraction: Annotated[
        float | None, Field(gt=0, le=1, description="Or: this share of the requests over the limit; default: off")
    ] = None


Statistic = Literal["mean", "p50", "p90", "p95", "p99"]
LATENCIES = ("ttft", "tpot", "itl", "e2e")


class SloMetric(Section):
    """The terms of one latency metric, one a statistic."""

    mean: Annotated[SloTerm | None, Field(description="Limit on the mean")] = None
    p50: Annotated[SloTerm | None, Field(description="Limit on the median")] = None
    p90: Annotated[SloTerm | None, Field(description="Limit on the 90th percentile")] = None
    p95: Annotated[SloTerm | None, Field(description="Limit on the 95th percentile")] = None
    p99: Annotated[SloTerm | None, Field(description="Limit on the 99th percentile")] = None
    per_request_ms: Annotated[
        float | None, Field(gt=0, description="What goodput asks of each request; default: the loosest threshold")
    ] = None


class Slo(Section):
    """What the service must keep to."""

    ttft: Annotated[SloMetric, Field(description="Time to first token")] = SloMetric()
    tpot: Annotated[SloMetric, Field(description="Time per output token after the first")] = SloMetric()
    itl: Annotated[SloMetric, Field(description="Time between two streamed chunks")] = SloMetric()
    e2e: Annotated[SloMetric, Field(description="Time of a whole request")] = SloMetric()
    error_rate: Annotated[float, Field(ge=0, le=1, description="More failed requests than this: infeasible")] = 0.01
    steepness: Annotated[float, Field(gt=0, description="penalty = weight × exp(violation / steepness)")] = 0.1
    curve: Annotated[
        Literal["exponential", "smooth"], Field(description="smooth: exp − 1, so that no penalty starts with a jump")
    ] = "exponential"

    def terms(self) -> list[tuple[str, str, SloTerm]]:
        """Every set term as (metric, statistic, term), in a fixed order."""
        found = []
        for metric in LATENCIES:
            section: SloMetric = getattr(self, metric)
            for statistic in ("mean", "p50", "p90", "p95", "p99"):
                term: SloTerm | None = getattr(section, statistic)
                if term is not None:
                    found.append((metric, statistic, term))
        return found
