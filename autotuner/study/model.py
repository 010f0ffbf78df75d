"""The study file as data: frozen, strict, every default shown.

Every number has its unit in its name. Loading, layers and error texts live in ``loader.py``; what a
space, a scenario or an SLO *means* lives in ``space``, ``benchmark`` and ``scoring``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag

Scalar = bool | int | float | str | None


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def _by_key(forms: Mapping[str, str]) -> Callable[[Any], str | None]:
    """Picks the form of a union by the first of these keys that is there, so that only its errors are told.

    Every tag starts with ``|``, so that it can be told from a key in the place of an error.
    """

    def pick(value: Any) -> str | None:
        keys = value if isinstance(value, dict) else getattr(type(value), "model_fields", {})
        return next((tag for key, tag in forms.items() if key in keys), None)

    return pick


def _launcher_kind(value: Any) -> str | None:
    kind = value.get("kind") if isinstance(value, dict) else getattr(value, "kind", None)
    return f"|{kind}" if kind in ("process", "endpoint") else None


def _text_or_map(value: Any) -> str | None:
    if isinstance(value, str):
        return "|text"
    return "|map" if isinstance(value, dict | BaseModel) else None


def _source_form(value: Any) -> str | None:
    if isinstance(value, str):
        return "|text"
    return _by_key({"dataset": "|dataset", "trace": "|trace"})(value)


def _text_or_list(value: Any) -> str | None:
    if isinstance(value, str):
        return "|text"
    return "|list" if isinstance(value, list) else None


def _form(pick: Callable[[Any], str | None], rule: str) -> Discriminator:
    return Discriminator(pick, custom_error_type="form", custom_error_message=rule)


class SecretRef(_Section):
    """A value read from an environment variable when it is needed, never stored."""

    from_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Name of the variable")]


TextOrSecret = Annotated[
    Annotated[str, Tag("|text")] | Annotated[SecretRef, Tag("|map")],
    _form(_text_or_map, "text, or {from_env: VARIABLE}"),
]


class Model(_Section):
    """What is served."""

    id: Annotated[str, Field(min_length=1, description="Hub id, or path of a local file or folder")]
    served_name: Annotated[str | None, Field(description="Name in requests; default: the id's last part")] = None


class Engine(_Section):
    """The inference server."""

    name: Annotated[str, Field(description="The inference engine that serves the model")]
    version: Annotated[str | None, Field(description="Which flag catalogue to judge by; default: newest")] = None
    args: Annotated[dict[str, Any], Field(description="Server flags common to every Config")] = {}
    env: Annotated[
        dict[str, TextOrSecret],
        Field(description="Environment of the server; secrets as {from_env: VARIABLE}, which is never written down"),
    ] = {}
    command: Annotated[list[str], Field(description="Replaces the engine's executable, as argv")] = []


class ProcessLauncher(_Section):
    """Start each server as a process on the trial's node."""

    kind: Annotated[Literal["process"], Field(description="Start each server as a process")] = "process"


class EndpointLauncher(_Section):
    """Measure a server that already runs; nothing is started or stopped."""

    kind: Annotated[Literal["endpoint"], Field(description="Measure a server that already runs")]
    url: Annotated[str, Field(pattern=r"^https?://", description="Where it runs, up to and without /v1")]
    headers: Annotated[
        dict[str, TextOrSecret], Field(description="Sent with every request; secrets as {from_env: VARIABLE}")
    ] = {}


Launcher = Annotated[
    Annotated[ProcessLauncher, Tag("|process")] | Annotated[EndpointLauncher, Tag("|endpoint")],
    _form(_launcher_kind, "a map with kind: process, or kind: endpoint and its url"),
]


class Hardware(_Section):
    """What a server and its load driver get, and what that costs."""

    gpus_per_server: Annotated[int, Field(ge=0, description="GPUs that one server gets")] = 0
    server_cpus: Annotated[
        int | None, Field(ge=1, description="CPU cores leased to a server; default: what the engine's threads need")
    ] = None
    client_cpus: Annotated[int, Field(ge=1, description="CPU cores leased to a trial's load driver")] = 1
    cost_per_gpu_hour: Annotated[float | None, Field(ge=0, description="Price of a GPU, in any currency")] = None
    cost_per_cpu_hour: Annotated[float | None, Field(ge=0, description="Price of a CPU core, in that currency")] = None


class Space(_Section):
    """Which Configs there are."""

    include: Annotated[list[str], Field(description="Space files: names under search_spaces/, or paths")] = []
    parameters: Annotated[
        dict[str, Any],
        Field(description="name → [values], {int: [lo, hi]}, {float: [lo, hi]} (log, step), {choices: {label: value}}"),
    ] = {}
    conditions: Annotated[dict[str, str], Field(description="name → expression under which the parameter exists")] = {}
    constraints: Annotated[list[str], Field(description="Expressions that every Config must satisfy")] = []


class Dataset(_Section):
    """Requests from a file of prompts."""

    dataset: Annotated[str, Field(min_length=1, description="JSONL file: prompt or messages, output_tokens a line")]


class Trace(_Section):
    """Requests with the sizes and times of a file."""

    trace: Annotated[
        str, Field(min_length=1, description="JSONL file: timestamp_s, input_tokens, output_tokens a line")
    ]


ScenarioSource = Annotated[
    Annotated[str, Tag("|text")] | Annotated[Dataset, Tag("|dataset")] | Annotated[Trace, Tag("|trace")],
    _form(_source_form, "text such as D(1000,200), {dataset: FILE} or {trace: FILE}"),
]


class WeightedScenario(_Section):
    """One part of a mix."""

    scenario: Annotated[ScenarioSource, Field(description="As workload.scenario")]
    weight: Annotated[float, Field(gt=0, description="Share of the requests, relative to the other weights")] = 1.0


class ConcurrencyLoad(_Section):
    """Closed loop: each level keeps so many requests in flight."""

    concurrency: Annotated[
        list[Annotated[int, Field(ge=1)]], Field(min_length=1, description="Requests in flight, a level each")
    ]


class RateLoad(_Section):
    """Open loop: each level sends so many requests a second, whatever the server does."""

    rate: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1, description="Requests per second")]
    arrival: Annotated[Literal["poisson", "constant"], Field(description="How requests are spread over time")] = (
        "poisson"
    )


class TraceLoad(_Section):
    """Open loop from a trace's own timestamps, at each speed."""

    speed: Annotated[
        list[Annotated[float, Field(gt=0)]],
        Field(min_length=1, description="How many times as fast as the trace's timestamps, a level each"),
    ]


Load = Annotated[
    Annotated[ConcurrencyLoad, Tag("|concurrency")]
    | Annotated[RateLoad, Tag("|rate")]
    | Annotated[TraceLoad, Tag("|speed")],
    _form(
        _by_key({"concurrency": "|concurrency", "rate": "|rate", "speed": "|speed"}),
        "one of {concurrency: [levels]}, {rate: [levels]} or {speed: [levels]}",
    ),
]


class Requests(_Section):
    """How many requests a load point has at full fidelity."""

    per_slot: Annotated[int, Field(ge=1, description="Closed loop: requests per concurrent slot")] = 8
    min: Annotated[int, Field(ge=1, description="Closed loop: at least so many requests")] = 64
    per_level_s: Annotated[float, Field(gt=0, description="Open loop: length of a level in seconds")] = 60.0


class Workload(_Section):
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
    load: Annotated[Load, Field(description="Load levels: in flight, per second, or speed of a trace")] = (
        ConcurrencyLoad(concurrency=[1, 8, 32])
    )
    requests: Annotated[Requests, Field(description="How many requests a load point has")] = Requests()
    cache: Annotated[Literal["cold", "warm"], Field(description="cold: no prompt is sent twice to one server")] = "cold"


class Timeouts(_Section):
    """After how long each wait is given up."""

    start_s: Annotated[float, Field(gt=0, description="From a server's start until it is ready")] = 900.0
    request_s: Annotated[float, Field(gt=0, description="One request; a failed one counts as so long")] = 120.0
    rung_s: Annotated[float, Field(gt=0, description="All load points of one rung")] = 900.0


class SloTerm(_Section):
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


class SloMetric(_Section):
    """The terms of one latency metric, one a statistic."""

    mean: Annotated[SloTerm | None, Field(description="Limit on the mean")] = None
    p50: Annotated[SloTerm | None, Field(description="Limit on the median")] = None
    p90: Annotated[SloTerm | None, Field(description="Limit on the 90th percentile")] = None
    p95: Annotated[SloTerm | None, Field(description="Limit on the 95th percentile")] = None
    p99: Annotated[SloTerm | None, Field(description="Limit on the 99th percentile")] = None
    per_request_ms: Annotated[
        float | None, Field(gt=0, description="What goodput asks of each request; default: the loosest threshold")
    ] = None


class Slo(_Section):
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


Baseline = Annotated[
    Annotated[Literal["default"], Tag("|text")] | Annotated[dict[str, Any], Tag("|map")],
    _form(_text_or_map, "default, or a Config: a map of parameter: value"),
]


class Search(_Section):
    """How Configs are proposed, and how many."""

    algorithm: Annotated[
        Literal["grid", "random", "tpe", "cmaes", "nsga2", "gp", "hyperopt"], Field(description="The searcher")
    ] = "tpe"
    trials: Annotated[int, Field(ge=1, description="Trials of the study, the baseline included")] = 40
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, description="Of everything that is drawn at random")] = 0
    baseline: Annotated[Baseline, Field(description="Trial 0: the engine's default, or a Config")] = "default"
    confirm: Annotated[int, Field(ge=0, description="Rounds in which best and default are measured afresh")] = 3
    select: Annotated[
        Literal["slo_met", "score"], Field(description="Whether the best must meet every SLO, if any Config does")
    ] = "slo_met"
    max_concurrent_trials: Annotated[
        int | None, Field(ge=1, description="Trials at a time; default: as many as fit")
    ] = None


class Fidelity(_Section):
    """How early a trial can be stopped."""

    trial_scheduler: Annotated[
        Literal["asha", "hyperband", "median", "none"], Field(description="What stops trials after a rung")
    ] = "asha"
    rungs: Annotated[int, Field(ge=1, le=8, description="Fidelity levels of a trial")] = 3
    eta: Annotated[int, Field(ge=2, le=10, description="How many times as much load each rung has")] = 3


class Budget(_Section):
    """What a study may spend; it then ends with what it has."""

    gpu_hours: Annotated[float | None, Field(gt=0, description="GPUs reserved × hours; default: no limit")] = None
    wall_clock_h: Annotated[float | None, Field(gt=0, description="Since the start; default: no limit")] = None


Objectives = Annotated[
    Annotated[str, Tag("|text")] | Annotated[list[str], Tag("|list")],
    _form(_text_or_list, "the name of an objective, or a list of up to 4"),
]


class Study(_Section):
    """One tuning job, described by one YAML file."""

    name: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", description="Names the output folder ./studies/NAME"),
    ] = "study"
    model: Annotated[Model, Field(description="What is served")]
    engine: Annotated[Engine, Field(description="The inference server")]
    launcher: Annotated[Launcher, Field(description="What starts the servers")] = ProcessLauncher()
    hardware: Annotated[Hardware, Field(description="What a trial gets, and its price")] = Hardware()
    space: Annotated[Space, Field(description="Which Configs there are")] = Space()
    workload: Annotated[Workload, Field(description="What is sent to every server")]
    timeouts: Annotated[Timeouts, Field(description="After how long each wait is given up")] = Timeouts()
    slo: Annotated[Slo, Field(description="What the service must keep to")] = Slo()
    objective: Annotated[
        Objectives, Field(description="What is optimised: one name, or up to 4, of which the first drives the study")
    ] = "goodput_per_gpu"
    search: Annotated[Search, Field(description="How Configs are proposed")] = Search()
    fidelity: Annotated[Fidelity, Field(description="Rungs, and what stops trials")] = Fidelity()
    budget: Annotated[Budget, Field(description="What the study may spend")] = Budget()

    @property
    def objectives(self) -> tuple[str, ...]:
        """One to four objective names; the first drives trial scheduler, best and confirmation."""
        return (self.objective,) if isinstance(self.objective, str) else tuple(self.objective)
