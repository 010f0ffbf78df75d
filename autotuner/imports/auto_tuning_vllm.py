"""Studies of auto-tuning-vllm (github.com/openshift-psap/auto-tuning-vllm): YAML, always vLLM.

Keys and their meaning: its docs/configuration.md, auto_tune_vllm/core/{config,constraint}.py,
auto_tune_vllm/benchmarks/config.py; the ranges of parameters that give none: auto_tune_vllm/schemas/v0_11_0.yaml.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from autotuner.errors import InputError
from autotuner.imports.draft import StudyDraft, study_name
from autotuner.imports.flags import degree_of, flag_name, put_range, put_values
from autotuner.imports.record import Recorder, is_secret
from autotuner.space.expression import Expression
from autotuner.study.environment import variable_rule

NAME = "auto-tuning-vllm"
WHAT = "a study of auto-tuning-vllm (YAML)"

_ENGINE = "vllm"
_METRICS = {"request_latency": "e2e", "time_to_first_token_ms": "ttft", "inter_token_latency_ms": "tpot"}
_RATES = {"output_tokens_per_second": "throughput", "requests_per_second": "goodput"}
_PRESETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "high_throughput": ("throughput",),
        "low_latency": ("e2e_p95",),
        "balanced": ("throughput", "e2e_p50"),
    }
)
_SAMPLERS = {"tpe": "tpe", "random": "random", "gp": "tpe", "botorch": "tpe", "nsga2": "nsga2", "grid": "grid"}
_OF_TORCH = ("gp", "botorch")  # a study that asked for it would be refused where PyTorch is not installed
# Ranges and lists of parameters that give none of their own.
_DEFAULT_FORMS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "max_num_batched_tokens": {"min": 1024, "max": 32768, "step": 1024},
        "gpu_memory_utilization": {"min": 0.70, "max": 0.95, "step": 0.01},
        "block_size": {"options": [8, 16, 32, 64, 128]},
        "kv_cache_dtype": {"options": ["auto", "fp8", "fp8_e5m2", "fp8_e4m3"]},
        "cuda_graph_sizes": {"options": [1000, 2000, 3000, 4000, 5000, 6000, 8000]},
        "enable_cuda_graphs": {"options": [True, False]},
        "long_prefill_token_threshold": {"options": [0, 256, 512, 1024, 2048, 4096, 8192]},
        "max_seq_len_to_capture": {"options": [4096, 8192, 12288, 16384, 24576, 32768]},
        "max_num_partial_prefills": {"options": [1, 2, 4, 8]},
        "tensor_parallel_size": {"options": [1, 2, 4, 8]},
        "pipeline_parallel_size": {"options": [1, 2, 4]},
        "data_parallel_size": {"options": [1, 2, 4]},
        "enable_prefix_caching": {"options": [True, False]},
        "enforce_eager": {"options": [True, False]},
        "swap_space": {"min": 0, "max": 16, "step": 1},
        "cpu_offload_gb": {"min": 0, "max": 64, "step": 4},
    }
)
# vLLM ≤ 0.11 captured CUDA graphs up to the one number of --cuda-graph-sizes; the flag has this name since.
_NEW_NAMES = {"cuda_graph_sizes": "max-cudagraph-capture-size"}
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-(.*?))?\}")
_REASONS = (
    (r"^study\.|^logging\.", "results and logs go to the study's output folder"),
    (r"^execution\.", "servers are started as processes on the nodes of a Ray cluster (run --address)"),
    (r"^optimization\.n_startup_trials", "the searcher draws half of a short study at random first"),
    (r"^optimization\.approach", "told by the number of objectives"),
    (r"^benchmark\.(max_seconds|samples|num_samples)", "a load point has a number of requests: workload.requests"),
    (r"^benchmark\.benchmark_type", "the load comes from Autotuner's own load driver"),
    (r"^benchmark\.processor", "prompts are sized by the server's own token counts"),
    (r"^benchmark\.(_?mlperf|lg_model|test_mode|mlflow|output_dir|scenario|dataset_path)", "of MLPerf's harness alone"),
    (r"^baseline\.", "trial 0 is the engine's default, measured at the levels of workload.load"),
)


def recognises(data: Any) -> bool:
    return isinstance(data, Mapping) and "benchmark" in data and "optimization" in data and "base_runtime" not in data


def convert(source: Recorder, draft: StudyDraft) -> None:
    """Raises InputError for what is not a study's."""
    for key, text in source.replace_texts(lambda text: _VARIABLE.sub(lambda found: found[2] or found[0], text)):
        source.note_key(key, text, "the environment is not read: what stands after :- is taken")
    study, benchmark = source.section("study"), source.section("benchmark")
    draft.put(study_name(study.text("name") or study.text("prefix") or "study"), "name")
    draft.put(benchmark.required_text("model"), "model", "id", origin=benchmark.key("model"))
    draft.put(_ENGINE, "engine", "name")
    _optimization(source.section("optimization"), draft)
    _parameters(source.section("parameters"), draft)
    _fixed(source, draft)
    _constraints(source, draft)
    _workload(benchmark, draft)
    _baseline(source.section("baseline"), draft)
    source.leave_the_rest(lambda key: next((why for form, why in _REASONS if re.search(form, key)), None))


# ── goals ─────────────────────────────────────────────────────────────────────────────────────


def _optimization(source: Recorder, draft: StudyDraft) -> None:
    names = _objectives(source)
    draft.put(names[0] if len(names) == 1 else names, "objective")
    sampler = source.text("sampler", "tpe") or "tpe"
    if sampler not in _SAMPLERS:
        raise source.wrong("sampler", sampler, f"one of {', '.join(_SAMPLERS)}")
    draft.put(_SAMPLERS[sampler], "search", "algorithm", origin=source.key("sampler"))
    if sampler in _OF_TORCH:
        reason = "tpe is taken, which needs no PyTorch; with it installed, search.algorithm: gp is the like"
        source.note(("sampler",), sampler, reason)
    draft.put((source.whole("n_trials", 100) or 100) + 1, "search", "trials", origin=source.key("n_trials"))
    draft.note("search", "trials: one more than theirs, as the engine's default is one of them here.")
    at_a_time = source.whole("max_concurrent") or source.whole("max_concurrent_trials")
    draft.put(at_a_time, "search", "max_concurrent_trials", origin=source.key("max_concurrent"))


def _objectives(source: Recorder) -> list[str]:
    preset = source.text("preset")
    if preset is not None:
        if preset not in _PRESETS:
            raise source.wrong("preset", preset, f"one of {', '.join(_PRESETS)}")
        return list(_PRESETS[preset])
    given = source.look("objective")
    if isinstance(given, Mapping):
        return [_objective(source.section("objective"))]
    if "objectives" in source:
        return list(dict.fromkeys(map(_objective, source.sections("objectives"))))
    source.get("objective")
    if isinstance(given, list):
        return ["throughput", "e2e_p50"]
    return ["e2e_p50"] if given == "minimize" else ["throughput"]


def _objective(source: Recorder) -> str:
    metric, direction = source.required_text("metric"), source.text("direction")
    statistic = source.text("percentile", "median") or "median"
    best = {"maximize": _RATES, "minimize": _METRICS}
    if direction not in best or metric not in {**_RATES, **_METRICS}:
        raise source.wrong("metric", metric, f"one of {', '.join({**_RATES, **_METRICS})}, maximize or minimize")
    if metric not in best[direction]:
        source.note(("direction",), direction, "a study maximises rates and minimises latencies")
    if metric in _RATES:
        source.note(("percentile",), statistic, "a rate is one number here: all of a load point over its time")
        if metric == "requests_per_second":
            source.note(
                ("metric",), metric, "goodput is taken: requests per second that meet the SLOs, if there are any"
            )
        return _RATES[metric]
    return f"{_METRICS[metric]}_{'p50' if statistic == 'median' else statistic}"


# ── space ─────────────────────────────────────────────────────────────────────────────────────


def _parameters(source: Recorder, draft: StudyDraft) -> None:
    for name in sorted(source.names(), key=lambda name: name == "enable_cuda_graphs"):  # after enforce_eager
        spec = source.section(name)
        if not spec.truth("enabled", True):
            source.leave(name, "switched off in the file (enabled: false): the engine's default holds")
        elif spec.text("type") == "environment" or _is_variable(name, spec):
            _environment(spec, draft, name)
        else:
            _parameter(spec, draft, name)


def _is_variable(name: str, spec: Recorder) -> bool:
    return name.isupper() and "options" in spec


def _environment(spec: Recorder, draft: StudyDraft, name: str) -> None:
    values = [str(value) for value in spec.get("options", [])]
    refused = variable_rule(name)
    if refused is not None:
        spec.note_key(spec.key("options"), values, refused)
    elif len(values) == 1:
        _variable(draft, name, values[0], spec.key("options"), spec)
    else:
        draft.put(values, "space", "parameters", f"env.{name}", origin=spec.key("options"))


def _parameter(spec: Recorder, draft: StudyDraft, name: str) -> None:
    own = {key: spec.get(key) for key in ("min", "max", "step", "options") if key in spec}
    form = own or _DEFAULT_FORMS.get(name)
    if form is None:
        spec.note_key(spec.key(), None, "gives no values, and none are known for it: give them in space.parameters")
        return
    if not own:
        draft.note("space", f"{name}: the range that auto-tuning-vllm takes where a file gives none.")
    if name == "guidellm_concurrency":
        _levels(draft, _steps(spec, form), spec.key())
    elif name == "enable_cuda_graphs" and _has_flag(draft, "enforce-eager"):
        spec.note_key(spec.key(), dict(form), "enforce_eager turned round, which the file has too")
    elif "options" in form:
        _options(draft, name, list(form["options"]), spec.key("options"))
    elif "min" in form and "max" in form:
        put_range(draft, _ENGINE, _NEW_NAMES.get(name, name), _range(spec, form), spec.key())
    else:
        raise spec.wrong("min", form, "min and max, or options")


def _has_flag(draft: StudyDraft, flag: str) -> bool:
    return any(flag in (draft.get(*place) or {}) for place in (("space", "parameters"), ("engine", "args")))


def _options(draft: StudyDraft, name: str, values: list[Any], origin: str) -> None:
    if name == "enable_cuda_graphs":
        put_values(draft, _ENGINE, "enforce-eager", [not value for value in values], origin)
    elif name == "compilation_config":
        # A bare number was short for the level, which is called mode since.
        levels = [{"mode": value} if isinstance(value, int) else value for value in values]
        put_values(draft, _ENGINE, name, levels, origin)
    else:
        put_values(draft, _ENGINE, _NEW_NAMES.get(name, name), values, origin)


def _range(spec: Recorder, form: Mapping[str, Any]) -> dict[str, Any]:
    low, high, step = form["min"], form["max"], form.get("step")
    for key, value in (("min", low), ("max", high), ("step", step)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise spec.wrong(key, value, "a number")
    if isinstance(low, int) and isinstance(high, int):
        steps = {"step": int(step)} if step not in (None, 1) else {}
        return {"int": [low, high], **steps}
    return {"float": [float(low), float(high)], **({"step": float(step)} if step else {})}


def _steps(spec: Recorder, form: Mapping[str, Any]) -> list[int]:
    if "options" in form:
        return [int(value) for value in form["options"]]
    low, high, step = (int(form.get(key) or 1) for key in ("min", "max", "step"))
    if low > high or low < 1 or step < 1:
        raise spec.wrong("min", low, "at least 1 and at most max")
    return list(range(low, high + 1, step))


def _fixed(source: Recorder, draft: StudyDraft) -> None:
    arguments = source.section("static_parameters")
    for name in arguments.names():
        put_values(draft, _ENGINE, _NEW_NAMES.get(name, name), [arguments.get(name)], arguments.key(name))
    variables = source.section("static_environment_variables")
    for name in variables.names():
        _variable(draft, name, str(variables.get(name)), variables.key(name), variables)


def _variable(draft: StudyDraft, name: str, value: str, origin: str, source: Recorder) -> None:
    refused = variable_rule(name)
    if refused is not None:
        source.note((name,), value, refused)
    elif is_secret(name):
        source.note((name,), "(not shown)", f"a secret is not written down: set {name} where the study runs")
        draft.put({"from_env": name}, "engine", "env", name, origin=origin)
    else:
        draft.put(value, "engine", "env", name, origin=origin)


def _constraints(source: Recorder, draft: StudyDraft) -> None:
    """Theirs are Optuna's: numbers that are above 0 where a constraint is violated."""
    for text in source.get("constraints", []):
        try:
            expression = Expression.parse(str(text), source.key("constraints"))
        except InputError as error:
            source.note(("constraints",), text, f"no expression of a study: {error.rule}")
            continue
        names = {name: _constraint_name(name) for name in expression.names}
        draft.constrain(f"{expression.renamed(names)} <= 0", source.key("constraints"))


def _constraint_name(name: str) -> str:
    flag = flag_name(_ENGINE, _NEW_NAMES.get(name, name))
    return degree_of(_ENGINE, flag) or flag.replace("-", "_")


# ── workload ──────────────────────────────────────────────────────────────────────────────────


def _workload(source: Recorder, draft: StudyDraft) -> None:
    dataset = source.text("dataset")
    if dataset is not None and dataset.endswith(".jsonl"):
        draft.put({"dataset": dataset}, "workload", "scenario", origin=source.key("dataset"))
        draft.note("workload", "dataset: a line needs prompt or messages, and output_tokens.")
    else:
        source.leave("dataset", "not a JSONL file of prompts: save it as one and name it, scenario: {dataset: FILE}")
        draft.put(_scenario(source), "workload", "scenario", origin=source.key("prompt_tokens"))
    tunable = source.section("tunables").section("rate")
    rate = source.whole("rate") or source.whole("concurrency")
    if tunable.names() and tunable.truth("enabled", True):
        form = {key: tunable.get(key) for key in ("min", "max", "step", "options") if key in tunable}
        _levels(draft, _steps(tunable, form), tunable.key())
    else:
        _levels(draft, [rate or 50], source.key("rate"))


def _scenario(source: Recorder) -> str:
    """Normally distributed lengths where a deviation is given, else fixed ones."""
    prompt, output = source.whole("prompt_tokens", 1000), source.whole("output_tokens", 1000)
    spread = [source.whole(f"{name}_tokens_stdev") or 0 for name in ("prompt", "output")]
    for name in ("prompt", "output"):
        for bound in ("min", "max"):
            source.leave(f"{name}_tokens_{bound}", "lengths are not cut: N(mean,sd)/(mean,sd) or D(in,out)")
    return f"N({prompt},{spread[0]})/({output},{spread[1]})" if any(spread) else f"D({prompt},{output})"


def _levels(draft: StudyDraft, levels: list[int], origin: str) -> None:
    known = (draft.get("workload", "load") or {}).get("concurrency", []) if len(levels) == 1 else []
    found = sorted({*known, *levels})
    draft.put({"concurrency": found}, "workload", "load", origin=origin)
    if len(found) > 1:
        draft.note("workload", "load: every level is measured with every Config.")


def _baseline(source: Recorder, draft: StudyDraft) -> None:
    if "enabled" in source and not source.truth("enabled", True):
        source.note(("enabled",), False, "trial 0 is always the engine's default")
    source.get("run_first")
    if source.look("concurrency_levels") == (draft.get("workload", "load") or {}).get("concurrency"):
        source.get("concurrency_levels")
    parameters = source.section("parameters")
    searched = {*(draft.get("space", "parameters") or {}), *(draft.get("space", "parallelism") or {})}
    own = {}
    for theirs in parameters.names():
        flag = flag_name(_ENGINE, theirs)
        name = degree_of(_ENGINE, flag) or flag
        if name in searched:
            own[name] = parameters.get(theirs)
        else:
            parameters.leave(theirs, "not searched over: what engine.args say holds for trial 0 too")
    draft.put(own, "search", "baseline", origin=parameters.key())
