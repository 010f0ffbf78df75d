"""Tasks of inference-autotuner (github.com/novitalabs/inference-autotuner): JSON files, latencies in seconds.

Keys and their meaning: its README, docs/SLO_SCORING.md, src/utils/{optimizer,parallel_mapper,quantization_mapper}.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from autotuner.benchmark.traffic.scenario import parse_scenario
from autotuner.errors import WorkloadError
from autotuner.imports.draft import StudyDraft, study_name
from autotuner.imports.flags import put_degrees, put_range, put_values
from autotuner.imports.record import Recorder
from autotuner.space.quantization import QUANTIZATION_PRESETS
from autotuner.study.extra_body import extra_body_problems

NAME = "inference-autotuner"
WHAT = "a task of inference-autotuner (JSON)"

_MS_PER_S = 1000
_ENGINES = (("sglang", "sglang"), ("vllm", "vllm"), ("trtllm", "tensorrt"), ("trtllm", "trtllm"))
_SHORT_NAMES = {"mem-frac": "mem-fraction-static"}  # in tasks of the operator OME
_STRATEGIES = {"grid_search": "grid", "bayesian": "tpe", "random": "random"}
_OBJECTIVES = {
    "minimize_latency": "e2e_mean",
    "maximize_throughput": "throughput",
    "minimize_ttft": "ttft_mean",
    "minimize_tpot": "tpot_mean",
}
_QUANTIZATION = {"gemm_dtype": "gemm", "kvcache_dtype": "kv_cache", "attention_dtype": "attention", "moe_dtype": "moe"}
_DEGREES = ("tp", "pp", "dp", "cp", "dcp", "moe_tp", "moe_ep")

_KUBERNETES = "servers are started as processes on the nodes of a Ray cluster, not through Kubernetes objects"
_REASONS = (
    (r"^model\.namespace|^clusterbasemodel|^clusterservingruntime|^storage\.", _KUBERNETES),
    (r"^benchmark\.dataset", "nothing is fetched: save the prompts as JSONL and name them, scenario: {dataset: FILE}"),
    (r"^benchmark\.max_time_per_iteration", "a load point has a number of requests (workload.requests), not a time"),
    (r"^benchmark\.model_tokenizer", "prompts are sized by the server's own token counts"),
    (r"^optimization\.(n_initial_random|seed)", "the searcher draws half of a short study at random first"),
    (r"^parallel_config\.", "no degree of parallelism of this engine has this name here"),
)


def recognises(data: Any) -> bool:
    return isinstance(data, Mapping) and "base_runtime" in data and "model" in data and "optimization" in data


def convert(source: Recorder, draft: StudyDraft) -> None:
    """Raises InputError for what is not a task's."""
    draft.put(study_name(source.required_text("task_name")), "name")
    draft.about = source.text("description") or ""
    engine = _engine(source, draft)
    _model(source, draft)
    _parameters(source.section("parameters"), draft, engine)
    _parallelism(source.section("parallel_config"), draft, engine)
    _quantization(source.section("quant_config"), draft)
    _workload(source.section("benchmark"), draft)
    _slo(source.section("slo"), draft)
    _optimization(source.section("optimization"), draft)
    if draft.get("engine", "args", "device") == "cpu":
        draft.put(0, "hardware", "gpus_per_server")
    source.leave_the_rest(lambda key: next((why for form, why in _REASONS if re.search(form, key)), None))


def _engine(source: Recorder, draft: StudyDraft) -> str:
    runtime = source.required_text("base_runtime")
    engine = next((name for name, word in _ENGINES if word in runtime.lower().replace("_", "")), None)
    if engine is None:
        engine = "sglang"
        source.note(("base_runtime",), runtime, "names no engine: SGLang is taken, whose flags such tasks have")
    draft.put(engine, "engine", "name", origin="base_runtime")
    source.leave(
        "runtime_image_tag",
        "the engine that is installed on the nodes is started; its flags are judged by the catalogue",
    )
    mode = source.text("deployment_mode")
    if mode not in (None, "local"):
        source.note(("deployment_mode",), mode, "servers are started as processes")
    return engine


def _model(source: Recorder, draft: StudyDraft) -> None:
    model, benchmark = source.section("model"), source.section("benchmark")
    key = "id_or_path" if "id_or_path" in model else "name"
    given = model.required_text(key)
    tokenizer = benchmark.look("model_tokenizer")
    if "/" not in given and isinstance(tokenizer, str) and _alike(given, tokenizer.rpartition("/")[2]):
        model.note((key,), given, f"a folder that only their model path tells: the hub's {tokenizer} is taken")
        benchmark.get("model_tokenizer")
        given = tokenizer
    draft.put(given, "model", "id", origin=model.key(key))
    draft.put(benchmark.text("model_name"), "model", "served_name", origin=benchmark.key("model_name"))


def _alike(one: str, other: str) -> bool:
    """Whether two names differ in case and punctuation alone."""
    return re.sub(r"[^a-z0-9]", "", one.lower()) == re.sub(r"[^a-z0-9]", "", other.lower())


# ── space ─────────────────────────────────────────────────────────────────────────────────────


def _parameters(source: Recorder, draft: StudyDraft, engine: str) -> None:
    for name in source.names():
        given = source.look(name)
        flag = name.replace("_", "-") if engine != "trtllm" else name
        flag = _SHORT_NAMES.get(flag, flag)
        if isinstance(given, Mapping):
            _typed_parameter(source.section(name), draft, engine, flag)
        else:
            source.get(name)
            _values(source, name, draft, engine, flag, given)


def _typed_parameter(spec: Recorder, draft: StudyDraft, engine: str, flag: str) -> None:
    match spec.text("type", "choice"):
        case "choice" | "categorical":
            key = "values" if "values" in spec else "choices"
            _values(spec, key, draft, engine, flag, spec.get(key, []))
        case "continuous" | "integer" as kind:
            low, high, log = spec.number("low"), spec.number("high"), spec.truth("log")
            if low is None or high is None:
                raise spec.wrong("low", low, "is required, with high")
            bounds = [int(low), int(high)] if kind == "integer" else [low, high]
            form = {"int" if kind == "integer" else "float": bounds, **({"log": True} if log else {})}
            put_range(draft, engine, flag, form, spec.key())
        case other:
            raise spec.wrong("type", other, "choice, categorical, continuous or integer")


def _values(source: Recorder, key: str, draft: StudyDraft, engine: str, flag: str, given: Any) -> None:
    values = given if isinstance(given, list) else [given]
    if engine == "sglang" and flag in ("dp-size", "data-parallel-size"):
        source.note((key,), given, "copies of the whole model: measure one, and start as many as the load needs")
    elif values:
        put_values(draft, engine, flag, values, source.key(key))


def _parallelism(source: Recorder, draft: StudyDraft, engine: str) -> None:
    presets = _texts(source, "presets") or _texts(source, "preset")
    draft.put(presets, "space", "parallelism", "preset", origin=source.key("presets"))
    for degree in _DEGREES:
        if engine == "sglang" and degree == "dp":
            copies = "copies of the whole model: measure one, and start as many as the load needs"
            if source.wholes(degree) not in (None, [1]):
                source.leave(degree, copies)
            continue
        put_degrees(draft, degree, source.wholes(degree) or [], source.key(degree))
    if "moe_dense_tp" in source and engine == "sglang":
        put_values(draft, engine, "moe-dense-tp-size", source.wholes("moe_dense_tp") or [], source.key("moe_dense_tp"))
    if "enable_expert_parallel" in source and engine == "vllm":
        given = source.get("enable_expert_parallel")
        values = given if isinstance(given, list) else [given]
        put_values(draft, engine, "enable-expert-parallel", values, source.key("enable_expert_parallel"))


def _quantization(source: Recorder, draft: StudyDraft) -> None:
    presets = _texts(source, "presets") or _texts(source, "preset")
    unknown = [preset for preset in presets if preset not in QUANTIZATION_PRESETS]
    if unknown:
        source.note(("presets",), unknown, f"no such preset; there are {', '.join(QUANTIZATION_PRESETS)}")
    kept = [preset for preset in presets if preset not in unknown]
    draft.put(kept, "space", "quantization", "preset", origin=source.key("presets"))
    for theirs, ours in _QUANTIZATION.items():
        values = _texts(source, theirs)
        if values != ["auto"]:
            draft.put(values, "space", "quantization", ours, origin=source.key(theirs))


def _texts(source: Recorder, key: str) -> list[str]:
    given = source.get(key, [])
    return list(dict.fromkeys(map(str, given if isinstance(given, list) else [given])))


# ── workload ──────────────────────────────────────────────────────────────────────────────────


def _workload(source: Recorder, draft: StudyDraft) -> None:
    task = source.text("task", "text-to-text")
    if task != "text-to-text":
        source.note(("task",), task, "text is sent, and text comes back")
    _scenarios(source, draft)
    draft.put("chat", "workload", "api")
    body = source.section("additional_params")
    for name in body.names():
        if (taken := next(extra_body_problems({name: None}), None)) is not None:
            body.note((name,), body.get(name), taken.rule.removeprefix("can't be set: "))
            continue
        draft.put(_number_of_text(body.get(name)), "workload", "extra_body", name, origin=body.key(name))
    levels = source.wholes("num_concurrency") or [1]
    draft.put({"concurrency": sorted(levels)}, "workload", "load", origin=source.key("num_concurrency"))
    requests = source.whole("max_requests_per_iteration")
    if requests is not None:
        form = {"per_slot": 4, "min": requests}
        draft.put(form, "workload", "requests", origin=source.key("max_requests_per_iteration"))
        draft.note("workload", "requests: as many as a task asks for, but at least 4 a concurrent slot.")


def _scenarios(source: Recorder, draft: StudyDraft) -> None:
    given = source.get("traffic_scenarios") or []
    texts = []
    for text in given if isinstance(given, list) else [given]:
        try:
            parse_scenario(str(text))
            texts.append(str(text))
        except WorkloadError as error:
            source.note(("traffic_scenarios",), text, f"no scenario of a study: {error.rule}")
    if not texts:
        texts = ["D(100,100)"]
        draft.note("workload", "scenario: D(100,100) is put in, as the file has none that a study takes.")
    if len(texts) == 1:
        draft.put(texts[0], "workload", "scenario", origin=source.key("traffic_scenarios"))
        return
    parts = [{"scenario": text, "weight": 1.0} for text in texts]
    draft.put(parts, "workload", "scenarios", origin=source.key("traffic_scenarios"))
    source.note(("traffic_scenarios",), texts, "not measured one by one, but as a mix in equal parts")


def _number_of_text(value: Any) -> Any:
    """Operators hand every parameter on as text; a server wants its number."""
    if isinstance(value, str) and re.fullmatch(r"-?\d+(\.\d+)?", value):
        return float(value) if "." in value else int(value)
    return value


# ── goals ─────────────────────────────────────────────────────────────────────────────────────


def _slo(source: Recorder, draft: StudyDraft) -> None:
    for metric, ours in (("ttft", "ttft"), ("tpot", "tpot")):
        if metric in source:
            _slo_metric(source.section(metric), draft, ours)
    if "latency" in source:
        _slo_metric(source.section("latency"), draft, "e2e")
    steepness = source.number("steepness")
    draft.put(steepness, "slo", "steepness", origin=source.key("steepness"))


def _slo_metric(source: Recorder, draft: StudyDraft, metric: str) -> None:
    """Either one threshold, which they hold against the mean, or one a percentile."""
    if "threshold" in source:
        _slo_term(source, draft, metric, "mean")
        return
    for statistic in source.names():
        if statistic in ("mean", "p50", "p90", "p95", "p99"):
            _slo_term(source.section(statistic), draft, metric, statistic)


def _slo_term(source: Recorder, draft: StudyDraft, metric: str, statistic: str) -> None:
    threshold_s = source.number("threshold")
    if threshold_s is None or threshold_s <= 0:
        raise source.wrong("threshold", threshold_s, "a number of seconds above 0")
    term: dict[str, Any] = {"threshold_ms": _plain(threshold_s * _MS_PER_S)}
    weight, fail_ratio = source.number("weight"), source.number("fail_ratio")
    if weight is not None:
        term["weight"] = weight
    if source.truth("hard_fail"):
        term["hard_fail"] = True
    if fail_ratio is not None:
        term["fail_ratio"] = fail_ratio
    draft.put(term, "slo", metric, statistic, origin=source.key())


def _plain(milliseconds: float) -> float:
    """Without the last bits of a product: 0.05 s are 50 ms."""
    rounded = round(milliseconds, 6)
    return int(rounded) if rounded == int(rounded) else rounded


def _optimization(source: Recorder, draft: StudyDraft) -> None:
    objective = source.text("objective", "minimize_latency")
    if objective not in _OBJECTIVES:
        raise source.wrong("objective", objective, f"one of {', '.join(_OBJECTIVES)}")
    draft.put(_OBJECTIVES[objective], "objective", origin=source.key("objective"))
    if objective == "maximize_throughput":
        source.note(
            ("objective",), objective, "their throughput counts prompts' tokens too, a study's only generated ones"
        )
    strategy = source.text("strategy", "grid_search")
    if strategy not in _STRATEGIES:
        raise source.wrong("strategy", strategy, f"one of {', '.join(_STRATEGIES)}")
    draft.put(_STRATEGIES[strategy], "search", "algorithm", origin=source.key("strategy"))
    iterations = source.whole("max_iterations")
    if iterations is not None:
        draft.put(iterations + 1, "search", "trials", origin=source.key("max_iterations"))
        draft.note("search", "trials: one more than the iterations, as the engine's default is measured first.")
    timeout_s = source.number("timeout_per_iteration")
    if timeout_s is not None:
        for wait in ("start_s", "rung_s"):
            draft.put(timeout_s, "timeouts", wait, origin=source.key("timeout_per_iteration"))
        draft.note(
            "timeouts", "Their time-out is over a whole iteration; here it holds for the start and for each rung."
        )
