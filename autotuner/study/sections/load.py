"""The sections of a study about the load: workload, time-outs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, Tag, create_model

from autotuner.strict.forms import Section, by_key, form

_MOST = 1_000_000  # requests in flight, or a second


class Dataset(Section):
    """Requests from a file of prompts."""

    dataset: Annotated[
        str,
        Field(min_length=1, description="JSONL, JSON or CSV file: prompt or messages, output_tokens a line; ShareGPT"),
    ]


class Trace(Section):
    """Requests with the sizes and times of a file."""

    trace: Annotated[
        str,
        Field(
            min_length=1,
            description="JSONL, JSON or CSV file: timestamp_s, input_tokens, output_tokens a line; "
            "traces of Mooncake, BurstGPT, Azure, Vidur",
        ),
    ]


def _source_form(value: Any) -> str | None:
    if isinstance(value, str):
        return "|text"
    return by_key({"dataset": "|dataset", "trace": "|trace"})(value)


ScenarioSource = Annotated[
    Annotated[str, Tag("|text")] | Annotated[Dataset, Tag("|dataset")] | Annotated[Trace, Tag("|trace")],
    form(_source_form, "text such as D(1000,200), {dataset: FILE} or {trace: FILE}"),
]


class WeightedScenario(Section):
    """One part of a mix."""

    scenario: Annotated[ScenarioSource, Field(description="As workload.scenario")]
    weight: Annotated[float, Field(gt=0, description="Share of the requests, relative to the other weights")] = 1.0


class ConcurrencyLoad(Section):
    """Closed loop: each level keeps so many requests in flight."""

    concurrency: Annotated[
        list[Annotated[int, Field(ge=1, le=_MOST)]], Field(min_length=1, description="Requests in flight, a level each")
    ]


class RateLoad(Section):
    """Open loop: each level sends so many requests a second, whatever the server does."""

    rate: Annotated[
        list[Annotated[float, Field(gt=0, le=_MOST)]], Field(min_length=1, description="Requests per second")
    ]
    arrival: Annotated[Literal["poisson", "constant"], Field(description="How requests are spread over time")] = (
        "poisson"
    )


class TraceLoad(Section):
    """Open loop from a trace's own timestamps, at each speed."""

    speed: Annotated[
        list[Annotated[float, Field(gt=0, le=_MOST)]],
        Field(min_length=1, description="How many times as fast as the trace's timestamps, a level each"),
    ]


_Bound = Annotated[int | float, Field(gt=0, le=_MOST)]
if TYPE_CHECKING:
    _Bounds = Section
else:  # `from` is a word of Python, so that no class can name the field
    _Bounds = create_model(
        "_Bounds",
        __base__=Section,
        **{"from": (Annotated[_Bound, Field(description="Load search: the smallest load that is asked for")], 1)},
    )


class FindMaxLoad(_Bounds):
    """The largest load that meets every SLO, searched for on the live server."""

    find_max: Annotated[
        Literal["concurrency", "rate"], Field(description="Load search: of requests in flight, or of requests a second")
    ]
    up_to: Annotated[_Bound, Field(description="Load search: the largest load that is asked for")] = 512
    arrival: Annotated[Literal["poisson", "constant"], Field(description="How requests are spread over time")] = (
        "poisson"
    )

    @property
    def first(self) -> int | float:
        """The smallest load that is asked for: the key ``from``."""
        found: int | float = getattr(self, "from")
        return found


Load = Annotated[
    Annotated[ConcurrencyLoad, Tag("|concurrency")]
    | Annotated[RateLoad, Tag("|rate")]
    | Annotated[TraceLoad, Tag("|speed")]
    | Annotated[FindMaxLoad, Tag("|find_max")],
    form(
        by_key({"concurrency": "|concurrency", "rate": "|rate", "speed": "|speed", "find_max": "|find_max"}),
        "one of {concurrency: [levels]}, {rate: [levels]}, {speed: [levels]} or {find_max: concurrency} (or rate)",
    ),
]


class Requests(Section):
    """How many requests a load point has at full fidelity."""

    per_slot: Annotated[int, Field(ge=1, description="Closed loop: requests per concurrent slot")] = 8
    min: Annotated[int, Field(ge=1, description="Closed loop: at least so many requests")] = 64
    per_level_s: Annotated[float, Field(gt=0, description="Open loop: length of a level in seconds")] = 60.0


class Lora(Section):
    """Adapters that the servers load and the requests ask for."""

    adapters: Annotated[dict[str, str], Field(min_length=1, description="name → hub id or path of an adapter")]
    base_share: Annotated[float, Field(ge=0, lt=1, description="Share of the requests that ask the bare model")] = 0.0


class Workload(Section):
    """What is sent to every server."""

    scenario: Annotated[
        ScenarioSource | None,
        Field(description="Tokens in, out: D(in,out), N(mean,sd)/(mean,sd), U(min,max)/(min,max); or dataset, trace"),
    ] = None
    scenarios: Annotated[list[WeightedScenario], Field(description="A weighted mix, instead of `scenario`")] = []
    shared_prefix_tokens: Annotated[
        int, Field(ge=0, description="Tokens at the start of every prompt that are the same in all")
    ] = 0
    api: Annotated[Literal["completions", "chat"], Field(description="Which of the server's APIs is used")] = (
        "completions"
    )
    extra_body: Annotated[dict[str, Any], Field(description="Sent with every request")] = {}
    load: Annotated[Load, Field(description="Load levels: in flight, per second, or speed of a trace; or a search")] = (
        ConcurrencyLoad(concurrency=[1, 8, 32])
    )
    requests: Annotated[Requests, Field(description="How many requests a load point has")] = Requests()
    lora: Annotated[Lora | None, Field(description="Adapters, spread evenly over the requests; default: none")] = None
    cache: Annotated[
        Literal["cold", "warm"],
        Field(description="cold: caches emptied between load points, no whole prompt twice; warm: neither"),
    ] = "cold"
    client_lag_ms: Annotated[
        float | None,
        Field(
            gt=0,
            description="How late requests may be sent, at the 99th percentile, before a load point says nothing of "
            "the server. Default: 5 ms or 5 % of the median TTFT, whichever is more",
        ),
    ] = None


class Timeouts(Section):
    """After how long each wait is given up."""

    fetch_s: Annotated[
        float, Field(gt=0, description="The weights of a trial, from a hub to a node, before its server starts")
    ] = 3600.0
    start_s: Annotated[float, Field(gt=0, description="From a server's start until it is ready")] = 900.0
    request_s: Annotated[float, Field(gt=0, description="One request; a failed one counts as so long")] = 120.0
    rung_s: Annotated[
        float, Field(gt=0, description="All load points of one rung; a fresh run has that for each rung")
    ] = 900.0
    trial_s: Annotated[
        float | None,
        Field(gt=0, description="A whole trial, loading included; its ended rungs are kept"),
    ] = None
