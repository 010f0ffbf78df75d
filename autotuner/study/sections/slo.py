"""The section of a study about what the service must keep to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from autotuner.strict.durations import UnitError, read_milliseconds, read_share
from autotuner.strict.forms import Section


class SloTerm(Section):
    """One limit on one statistic of a latency. ``p90: 300ms`` is ``p90: {threshold_ms: 300}``."""

    threshold_ms: Annotated[float, Field(gt=0, description="The limit; or threshold: 300ms, with its unit")]
    weight: Annotated[float, Field(gt=0, description="How much a violation counts")] = 1.0
    hard_fail: Annotated[bool, Field(description="Whether a large violation makes the load point infeasible")] = False
    fail_ratio: Annotated[float, Field(ge=0, description="What is large: this share above the limit")] = 0.5
    fail_fraction: Annotated[
        float | None, Field(gt=0, le=1, description="Or: this share of the requests over the limit; default: off")
    ] = None


def spelled_out_term(value: Any) -> Any:
    """A term with its limit in milliseconds; what is none stays. Raises UnitError for a limit without a good unit."""
    if isinstance(value, str):
        return {"threshold_ms": read_milliseconds(value)}
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise UnitError("a duration with its unit, as 300ms, or a map with threshold_ms")
    return _in_ms(value, "threshold")


def spelled_out_metric(value: Any) -> Any:
    return _in_ms(value, "per_request")


def _in_ms(value: Any, name: str) -> Any:
    """A map with ``NAME_ms`` in the place of ``NAME``, which has a unit."""
    if not isinstance(value, Mapping) or name not in value:
        return value
    given = value[name]
    if f"{name}_ms" in value:
        raise UnitError(f"either {name} or {name}_ms")
    if not isinstance(given, str):
        raise UnitError(f"{name} is a duration with its unit, as 300ms; {name}_ms is a number")
    rest = {key: one for key, one in value.items() if key != name}
    return {**rest, f"{name}_ms": read_milliseconds(given)}


def _spelled_out(read: Any) -> Any:
    def before(value: Any) -> Any:
        try:
            return read(value)
        except UnitError as error:
            raise PydanticCustomError("unit", "{rule}", {"rule": error.rule, "nearest": error.nearest}) from None

    return before


Statistic = Literal["mean", "p50", "p90", "p95", "p99"]
LATENCIES = ("ttft", "tpot", "itl", "e2e")
Term = Annotated[
    SloTerm | None, BeforeValidator(_spelled_out(spelled_out_term), json_schema_input_type=str | SloTerm | None)
]


class SloMetric(Section):
    """The terms of one latency metric, one a statistic: a duration such as 300ms, or a map."""

    mean: Annotated[Term, Field(description="Limit on the mean")] = None
    p50: Annotated[Term, Field(description="Limit on the median")] = None
    p90: Annotated[Term, Field(description="Limit on the 90th percentile")] = None
    p95: Annotated[Term, Field(description="Limit on the 95th percentile")] = None
    p99: Annotated[Term, Field(description="Limit on the 99th percentile")] = None
    per_request_ms: Annotated[
        float | None,
        Field(
            gt=0,
            description="What goodput asks of each request (or per_request: 300ms); default: the loosest threshold",
        ),
    ] = None


Metric = Annotated[SloMetric, BeforeValidator(_spelled_out(spelled_out_metric), json_schema_input_type=SloMetric)]


def spelled_out_error_rate(value: Any) -> Any:
    return read_share(value) if isinstance(value, str) else value


ErrorRate = Annotated[
    float,
    Field(ge=0, le=1),
    BeforeValidator(
        _spelled_out(spelled_out_error_rate), json_schema_input_type=Annotated[float, Field(ge=0, le=1)] | str
    ),
]


class Slo(Section):
    """What the service must keep to."""

    ttft: Annotated[Metric, Field(description="Time to first token")] = SloMetric()
    tpot: Annotated[Metric, Field(description="Time per output token after the first")] = SloMetric()
    itl: Annotated[Metric, Field(description="Time between two streamed chunks")] = SloMetric()
    e2e: Annotated[Metric, Field(description="Time of a whole request")] = SloMetric()
    error_rate: Annotated[ErrorRate, Field(description="More failed requests than this: infeasible; or 1%")] = 0.01
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
