"""The study file as data: frozen, strict, every default shown.

Every number has its unit in its name. Loading, layers and error texts live in ``loader.py``; what a
space, a scenario or an SLO *means* lives in ``space``, ``benchmark`` and ``scoring``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Scalar = bool | int | float | str | None


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SecretRef(_Section):
    """A value read from an environment variable when it is needed, never stored."""

    from_env: str


class Model(_Section):
    id: Annotated[str, Field(min_length=1, description="Hub id, or path of a local file or folder")]
    served_name: Annotated[str | None, Field(description="Name in requests; default: the id's last part")] = None


class Engine(_Section):
    name: Annotated[str, Field(description="The inference engine that serves the model")]
    version: Annotated[str | None, Field(description="Which flag catalogue to judge by; default: newest")] = None
    args: Annotated[dict[str, Any], Field(description="Server flags common to every Config")] = {}
    env: Annotated[dict[str, str | SecretRef], Field(description="Environment of the server")] = {}
    command: Annotated[list[str], Field(description="Replaces the engine's executable, as argv")] = []


class ProcessLauncher(_Section):
    """Start each server as a process on the trial's node."""

    kind: Literal["process"] = "process"


class EndpointLauncher(_Section):
    """Measure a server that already runs; nothing is started or stopped."""

    kind: Literal["endpoint"]
    url: Annotated[str, Field(pattern=r"^https?://")]
    headers: dict[str, str | SecretRef] = {}


Launcher = Annotated[ProcessLauncher | EndpointLauncher, Field(discriminator="kind")]


class Hardware(_Section):
    gpus_per_server: Annotated[int, Field(ge=0, description="GPUs that one server gets")] = 0
    server_cpus: Annotated[
        int | None, Field(ge=1, description="CPU cores leased to a server; default: what the engine's threads need")
    ] = None
    client_cpus: Annotated[int, Field(ge=1, description="CPU cores leased to a trial's load driver")] = 1
    cost_per_gpu_hour: Annotated[float | None, Field(ge=0)] = None
    cost_per_cpu_hour: Annotated[float | None, Field(ge=0)] = None


class Space(_Section):
    include: Annotated[list[str], Field(description="Space files: names under search_spaces/, or paths")] = []
    parameters: Annotated[
        dict[str, Any],
        Field(
            description="name → list of values, {int: [lo, hi]}, {float: [lo, hi]} (log, step), {choices: {label: value}}"
        ),
    ] = {}
    conditions: Annotated[dict[str, str], Field(description="name → expression under which the parameter exists")] = {}
    constraints: Annotated[list[str], Field(description="Expressions that every Config must satisfy")] = []


class Dataset(_Section):
    dataset: Annotated[str, Field(description="JSONL file: prompt or messages, output_tokens a line")]


class Trace(_Section):
    trace: Annotated[str, Field(description="JSONL file: timestamp_s, input_tokens, output_tokens a line")]


ScenarioSource = str | Dataset | Trace


class WeightedScenario(_Section):
    scenario: ScenarioSource
    weight: Annotated[float, Field(gt=0)] = 1.0


class ConcurrencyLoad(_Section):
    """Closed loop: each level keeps so many requests in flight."""

    concurrency: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]


class RateLoad(_Section):
    """Open loop: each level sends so many requests a second, whatever the server does."""

    rate: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1, description="Requests per second")]
    arrival: Literal["poisson", "constant"] = "poisson"


class TraceLoad(_Section):
    """Open loop from a trace's own timestamps, at each speed."""

    speed: Annotated[list[Annotated[float, Field(gt=0)]], Field(min_length=1)]


Load = ConcurrencyLoad | RateLoad | TraceLoad


class Requests(_Section):
    """How many requests a load point has at full fidelity."""

    per_slot: Annotated[int, Field(ge=1, description="Closed loop: requests per concurrent slot")] = 8
    min: Annotated[int, Field(ge=1, description="Closed loop: at least so many requests")] = 64
    per_level_s: Annotated[float, Field(gt=0, description="Open loop: length of a level in seconds")] = 60.0


class Workload(_Section):
    scenario: ScenarioSource | None = None
    scenarios: Annotated[list[WeightedScenario], Field(description="A weighted mix, instead of `scenario`")] = []
    shared_prefix_tokens: Annotated[int, Field(ge=0)] = 0
    api: Literal["completions", "chat"] = "completions"
    extra_body: dict[str, Any] = {}
    load: Load = ConcurrencyLoad(concurrency=[1, 8, 32])
    requests: Requests = Requests()
    cache: Literal["cold", "warm"] = "cold"


class Timeouts(_Section):
    start_s: Annotated[float, Field(gt=0)] = 900.0
    request_s: Annotated[float, Field(gt=0)] = 120.0
    rung_s: Annotated[float, Field(gt=0)] = 900.0


class SloTerm(_Section):
    threshold_ms: Annotated[float, Field(gt=0)]
    weight: Annotated[float, Field(gt=0)] = 1.0
    hard_fail: bool = False
    fail_ratio: Annotated[float, Field(ge=0)] = 0.5
    fail_fraction: Annotated[float | None, Field(gt=0, le=1)] = None


Statistic = Literal["mean", "p50", "p90", "p95", "p99"]
LATENCIES = ("ttft", "tpot", "itl", "e2e")


class SloMetric(_Section):
    """The terms of one latency metric, one a statistic."""

    mean: SloTerm | None = None
    p50: SloTerm | None = None
    p90: SloTerm | None = None
    p95: SloTerm | None = None
    p99: SloTerm | None = None
    per_request_ms: Annotated[
        float | None, Field(gt=0, description="What goodput asks of each request; default: the loosest threshold")
    ] = None


class Slo(_Section):
    ttft: SloMetric = SloMetric()
    tpot: SloMetric = SloMetric()
    itl: SloMetric = SloMetric()
    e2e: SloMetric = SloMetric()
    error_rate: Annotated[float, Field(ge=0, le=1)] = 0.01
    steepness: Annotated[float, Field(gt=0)] = 0.1
    curve: Literal["exponential", "smooth"] = "exponential"

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


class Search(_Section):
    algorithm: Literal["grid", "random", "tpe", "cmaes", "nsga2", "gp", "hyperopt"] = "tpe"
    trials: Annotated[int, Field(ge=1, description="Trials of the study, the baseline included")] = 40
    seed: int = 0
    baseline: Annotated[
        Literal["default"] | dict[str, Any], Field(description="Trial 0: the engine's default, or a Config")
    ] = "default"
    confirm: Annotated[int, Field(ge=0, description="Rounds in which best and default are measured afresh")] = 3
    select: Annotated[
        Literal["slo_met", "score"], Field(description="Whether the best must meet every SLO, if any Config does")
    ] = "slo_met"
    max_concurrent_trials: Annotated[int | None, Field(ge=1)] = None


class Fidelity(_Section):
    trial_scheduler: Literal["asha", "hyperband", "median", "none"] = "asha"
    rungs: Annotated[int, Field(ge=1, le=8)] = 3
    eta: Annotated[int, Field(ge=2, le=10)] = 3


class Budget(_Section):
    gpu_hours: Annotated[float | None, Field(gt=0)] = None
    wall_clock_h: Annotated[float | None, Field(gt=0)] = None


class Study(_Section):
    """One tuning job, described by one YAML file."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")] = "study"
    model: Model
    engine: Engine
    launcher: Launcher = ProcessLauncher()
    hardware: Hardware = Hardware()
    space: Space = Space()
    workload: Workload
    timeouts: Timeouts = Timeouts()
    slo: Slo = Slo()
    objective: str | list[str] = "goodput_per_gpu"
    search: Search = Search()
    fidelity: Fidelity = Fidelity()
    budget: Budget = Budget()

    @property
    def objectives(self) -> tuple[str, ...]:
        """One to four objective names; the first drives trial scheduler, best and confirmation."""
        return (self.objective,) if isinstance(self.objective, str) else tuple(self.objective)
