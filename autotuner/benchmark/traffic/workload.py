"""What a study's workload means: its sources, and the rules between its keys."""

from __future__ import annotations

from autotuner.benchmark.traffic.datasets import PromptSet, read_trace
from autotuner.benchmark.traffic.mix import Mix, SourceSpec, open_mix
from autotuner.benchmark.traffic.scenario import Fixed, Normal, Source, Uniform
from autotuner.errors import WorkloadError
from autotuner.study.model import Dataset, ScenarioSource, Trace, TraceLoad, Workload


def source_specs(workload: Workload) -> tuple[SourceSpec, ...]:
    """The sources of a workload. Raises WorkloadError unless exactly one of its two keys is given."""
    if workload.scenario is not None and workload.scenarios:
        raise _error("workload.scenarios", "both", "give either scenario or scenarios")
    if workload.scenario is not None:
        return (_spec(workload.scenario, 1.0),)
    if not workload.scenarios:
        raise _error("workload.scenario", None, "a scenario, as D(1000,200), a dataset or a trace")
    return tuple(_spec(part.scenario, part.weight) for part in workload.scenarios)


def check_workload(workload: Workload, seed: int = 0) -> Mix:
    """Reads the sources and checks them against the other keys. Raises WorkloadError."""
    mix = open_mix(source_specs(workload), seed)
    if isinstance(workload.load, TraceLoad):
        trace_timestamps(workload)
    for source in mix.sources:
        _check_prefix(workload.shared_prefix_tokens, source)
        if isinstance(source, PromptSet) and workload.api == "completions":
            _check_plain(source)
    return mix


def trace_timestamps(workload: Workload) -> tuple[float, ...]:
    """The arrival times (s) of the workload's trace. Raises WorkloadError when it has none."""
    specs = source_specs(workload)
    if len(specs) != 1 or specs[0].kind != "trace":
        raise _error("workload.load.speed", workload.scenario, "a load by speed needs one scenario, a trace")
    return read_trace(specs[0].text).timestamps_s


def _spec(source: ScenarioSource, weight: float) -> SourceSpec:
    if isinstance(source, Dataset):
        return SourceSpec("dataset", source.dataset, weight)
    if isinstance(source, Trace):
        return SourceSpec("trace", source.trace, weight)
    return SourceSpec("scenario", source, weight)


def _check_prefix(prefix_tokens: int, source: Source) -> None:
    shortest: float | None = None
    if isinstance(source, Fixed):
        shortest = source.input_tokens
    elif isinstance(source, Uniform):
        shortest = source.input_min
    elif isinstance(source, Normal):
        shortest = source.input_mean
    if shortest is not None and prefix_tokens >= shortest:
        rule = f"fewer than the {shortest:g} input tokens of the scenario, of which the prefix is a part"
        raise _error("workload.shared_prefix_tokens", prefix_tokens, rule)


def _check_plain(source: PromptSet) -> None:
    if any(isinstance(shape.content, tuple) for shape in source.shapes):
        raise _error("workload.api", "completions", "a dataset with messages needs api: chat")


def _error(key: str, value: object, rule: str) -> WorkloadError:
    return WorkloadError(f"{key}: {value!r}: {rule}", key=key, value=value, rule=rule)
