"""vLLM's server, ``vllm serve``.

Flags and what they may be together: vllm/engine/arg_utils.py, vllm/config/*.py and vllm/entrypoints/cli/serve.py of
the catalogued versions (0.24.0, 0.27.0, 0.32.0, 0.33.0). On one node a server starts its workers itself (``mp``). On
several, each node runs ``vllm serve`` with its ``--node-rank``, all but the first without HTTP (``--headless``).
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from autotuner.engines.deployment import (
    Deployment,
    HttpCall,
    Probe,
    Rank,
    VersionProbe,
    literal,
)
from autotuner.engines.engine import (
    EngineRule,
    FailureReport,
    MemoryShare,
    ModelFormat,
    Problem,
    QuantValue,
    RequestFeatures,
    VersionQuestion,
)
from autotuner.engines.flags.catalogue import load_catalogue, version_key
from autotuner.engines.loaded_formats import HALF, LoadedFormats
from autotuner.engines.logs.log_pattern import LogPattern, diagnose_log
from autotuner.engines.logs.shared_patterns import GPU_MEMORY, HUB, NODE, RANKS
from autotuner.engines.nodes import gpus_by_rank
from autotuner.engines.server_metrics import Counter, Gauge, MetricSource, Ratio, ServerMetric
from autotuner.engines.settings import ServerSettings, args_as_read, command, flag_problems, read_settings
from autotuner.errors import Failure
from autotuner.space.config import Config
from autotuner.space.parallelism import Parallelism
from autotuner.space.server_traits import ServerTraits
from autotuner.study.model import Study

_LONGER = "VLLM_ALLOW_LONG_MAX_MODEL_LEN"
_DEV_MODE = "VLLM_SERVER_DEV_MODE"  # opens /reset_prefix_cache, and endpoints that no client should reach
_WRONG = (
    r"not supported|unsupported|(?:does not|doesn't|do not) support|only supported|must be|must have|should be|"
    r"can ?not be|can't be|requires|divisible|incompatible|[Ii]nvalid|not valid|[Uu]nknown|[Nn]o valid|greater than"
)
# Around what a line says: who logged it, and pydantic's account of the input.
_PREFIX = re.compile(r"^(\([\w ]+ ?(rank=\d+ )?pid=\d+\) ?)*((ERROR|WARNING|INFO) [\d-]+ [\d:]+ \[[^\]]*\] ?)?")
_SUFFIX = re.compile(r" \[type=\w+, input_value=.*$")

_ASIDES = (r"(?:DEBUG|INFO|WARNING) \d\d-\d\d \d\d:\d\d:\d\d ",)  # vllm/logger.py

_NO_KV_ROOM = (r"No available memory for the cache blocks", r"KV cache is needed, which is larger than the available")

# Looked for in this order, the cause before what follows from it: a worker without memory leaves NCCL errors on
# the others, and every dead engine core an "Engine core initialization failed" of the API server.
_PATTERNS = (
    *NODE,
    LogPattern(r"Failed to infer device type", Failure.INFRASTRUCTURE),
    *(LogPattern(expression, Failure.OUT_OF_MEMORY_AT_START) for expression in _NO_KV_ROOM),
    LogPattern(r"Free memory on device .* is less than desired", Failure.OUT_OF_MEMORY_AT_START),
    *GPU_MEMORY,
    LogPattern(r"can't allocate memory|MemoryError\b|std::bad_alloc", Failure.OUT_OF_MEMORY_AT_START),
    *HUB,
    LogPattern(r"^vllm( serve)?: error: ", Failure.INVALID_CONFIG),
    LogPattern(r"\bValue error, ", Failure.INVALID_CONFIG),  # the second line of pydantic's, which says what
    LogPattern(r"Cannot find any model weights|Invalid repository ID or local dir", Failure.INVALID_CONFIG),
    LogPattern(r"LoRAAdapterNotFoundError: |Loading lora .* failed: ", Failure.INVALID_CONFIG),
    LogPattern(r"RPC call to \w+ timed out", Failure.HANG),
    LogPattern(r"Watchdog caught collective operation timeout", Failure.INFRASTRUCTURE),
    *RANKS,
    LogPattern(r"[Tt]imed out .*(clients|connect)", Failure.INFRASTRUCTURE),
    LogPattern(
        rf"\b(Value|Assertion|NotImplemented|Type|Runtime|Validation)Error: (?!CUDA error).*({_WRONG})",
        Failure.INVALID_CONFIG,
    ),
    LogPattern(r"\bNotImplementedError\b", Failure.INVALID_CONFIG),
)

_PARALLEL, _SCHEDULER = "vllm/config/parallel.py", "vllm/config/scheduler.py"
_SERVE, _QUANT, _LORA = "vllm/engine/arg_utils.py", "vllm/config/quantization.py", "vllm/config/lora.py"
_RULES = (
    EngineRule(
        "ep == 1 or ep == tp * dp * cp",
        "experts are spread over all of tp * dp (--enable-expert-parallel), or not at all",
        _PARALLEL,
    ),
    EngineRule("moe_tp == 1 and moe_ep == 1", "experts are spread by ep alone", _PARALLEL),
    EngineRule(
        "(cp == 1 and tp % dcp == 0) or (cp > 1 and dcp in [1, cp, tp * cp])",
        "decode context parallelism uses the GPUs of tp: dcp must divide tp (with cp: be cp or tp * cp)",
        _PARALLEL,
    ),
    EngineRule(
        "gpus <= gpus_per_node or dp == 1 or (gpus % gpus_per_node == 0 and "
        "(gpus_per_node % (tp * pp * cp) == 0 or (tp * pp * cp) % gpus_per_node == 0))",
        "data parallelism over nodes needs full nodes, each of whole replicas or of a part of one",
        _SERVE,
    ),
    EngineRule(
        "distributed_executor_backend != 'ray'",
        "Ray's executor would take GPUs that the trial has not reserved: mp serves one node and several",
        _PARALLEL,
    ),
    EngineRule(
        "max_num_batched_tokens >= max_num_seqs",
        "a step's tokens (max-num-batched-tokens) must be as many as its requests (max-num-seqs) at least",
        _SCHEDULER,
    ),
    EngineRule(
        "enable_chunked_prefill != false or max_model_len < 0 or max_num_batched_tokens >= max_model_len",
        "without chunked prefill the longest prompt (max-model-len) must fit into max-num-batched-tokens",
        _SCHEDULER,
    ),
    EngineRule(
        "max_model_len < 0 or long_prefill_token_threshold <= max_model_len",
        "long-prefill-token-threshold must be max-model-len at most",
        _SCHEDULER,
    ),
    EngineRule("max_cpu_loras >= max_loras", "max-cpu-loras must be max-loras at least", _LORA),
    EngineRule(
        "not enable_eplb or enable_expert_parallel or ep > 1",
        "balancing experts (enable-eplb) needs expert parallelism",
        _PARALLEL,
    ),
    EngineRule(
        "quant.moe in ['auto', quant.gemm] or quant.gemm in ['auto', 'bfloat16', 'float16'] or "
        "quant.gemm in ['fp8', 'fp8_block', 'fp8_per_tensor', 'fp8_per_block', 'fp8_per_channel', 'mxfp8']",
        "experts are quantised while weights are loaded, so only those of an unquantised checkpoint",
        _QUANT,
    ),
)
_BEFORE_0_25 = (EngineRule("cp == 1", "no attention backend has prefill context parallelism yet", "vllm/v1"),)
_BEFORE_0_32 = (
    EngineRule("cp == 1 or dp == 1", "context parallelism does not go with data parallelism", _PARALLEL),
    EngineRule("gpus <= gpus_per_node or cp == 1", "context parallelism stays on one node", _SERVE),
)
_SINCE_0_32 = (
    EngineRule("max_num_active_seqs <= max_num_seqs", "max-num-active-seqs is max-num-seqs at most", _SCHEDULER),
)

_PRESETS: Mapping[str, Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "single-gpu": {},
        "high-throughput": {"tp": (1, 2), "dp": (2, 4)},
        "large-model-tp": {"tp": (2, 4, 8)},
        "large-model-tp-pp": {"tp": (2, 4, 8), "pp": (2,)},
        "moe-optimized": {"tp": (1, 2, 4, 8), "dp": (1, 2, 4, 8), "ep": (4, 8)},
        "long-context": {"tp": (4, 8), "dcp": (2, 4, 8)},
    }
)

# Methods that vllm/config/vllm.py refuses with it; without the flag it turns it off for them.
_ASYNC, _SPECULATION = "async-scheduling", "speculative-config"
_NOT_AT_ONCE = frozenset({"ngram", "medusa", "mlp_speculator", "suffix", "custom_class"})
_NOT_AT_ONCE_SINCE_0_33 = frozenset({"suffix", "custom_class"})  # what the second model runner does not have

_OFFLINE = QuantValue(offline=True)


def _weights(shorthand: str) -> QuantValue:
    """Quantised while they are loaded, linear layers and experts: _ONLINE_SHORTHANDS of vllm/config/quantization.py."""
    return QuantValue({"quantization": shorthand})


def _experts(shorthand: str) -> QuantValue:
    return QuantValue({"quantization-config": {"moe": shorthand}})


_ONLINE = {
    "fp8": "fp8_per_tensor",  # as --quantization fp8 meant, which is deprecated
    "fp8_block": "fp8_per_block",
    **{name: name for name in ("fp8_per_tensor", "fp8_per_block", "fp8_per_channel", "mxfp8")},
}
_QUANTIZATION: Mapping[str, Mapping[str, QuantValue]] = MappingProxyType(
    {
        "gemm": {
            **{name: QuantValue({"dtype": name}) for name in ("bfloat16", "float16", "float32")},
            **{name: _weights(shorthand) for name, shorthand in _ONLINE.items()},
            **dict.fromkeys(("awq", "gptq", "nvfp4", "mxfp4", "int8", "w4a16", "gguf"), _OFFLINE),
        },
        "kv_cache": {
            **{
                name: QuantValue({"kv-cache-dtype": name})
                for name in ("bfloat16", "float16", "fp8", "fp8_e4m3", "fp8_e5m2", "fp8_per_token_head", "nvfp4")
            },
            "int8": QuantValue({"kv-cache-dtype": "int8_per_token_head"}, means="int8_per_token_head"),
        },
        "attention": {
            # With an FP8 KV cache: whether queries are FP8 as well (vllm/config/attention.py).
            "fp8": QuantValue({"attention-config": {"use_prefill_query_quantization": True}}),
            "bfloat16": QuantValue({"attention-config": {"disable_flashinfer_q_quantization": True}}),
        },
        "moe": {
            **{name: _experts(shorthand) for name, shorthand in _ONLINE.items()},
            "int8": _experts("int8_per_channel_weight_only"),
        },
    }
)


# _verify_quantization in config/model.py; override_quantization_method and get_supported_act_dtypes in
# model_executor/layers/quantization/ (0.32.0). Checkpoints of ModelOpt, and of gpt-oss, start under any name, and keep
# their format: not what a study asks for, so not taken here.
_LOADED_FORMATS = LoadedFormats(
    by_all=frozenset({"humming"}),
    beside={
        "awq": frozenset({"auto_awq", "awq_marlin", "moe_wna16"}),
        "gptq": frozenset({"auto_gptq", "gptq_marlin", "moe_wna16"}),
        "auto-round": frozenset({"inc"}),
        "fp8": frozenset({"deepseek_v4_fp8"}),
        "modelopt": frozenset({"modelopt_fp4", "modelopt_mixed", "modelopt_mxfp8"}),
        "mxfp4": frozenset({"gpt_oss_mxfp4"}),
    },
    dtypes={
        "compressed-tensors": HALF | {"float32", "float"},
        "torchao": HALF | {"float32", "float"},
        "mxfp4": frozenset({"bfloat16"}),
    },
)


class Vllm:
    """vLLM, one ``vllm serve`` a server, or one a node where a server is larger than a node."""

    name = "vllm"
    command = ("vllm", "serve")
    package = "vllm"
    model_format = ModelFormat.HUB
    gpus_text = "tp * pp * dp * cp"

    # Asked of `vllm` alone: `vllm serve` does not know --version.
    version_question = VersionQuestion(
        ("--version",), r"(?m)^(\d+\.\d+\.\d+[\w.]*)", ("--help=all",), instead_of=("serve",)
    )
    parallelism_presets = _PRESETS
    quantization = _QUANTIZATION
    loaded_formats = _LOADED_FORMATS
    memory_share = MemoryShare("gpu-memory-utilization", _NO_KV_ROOM)
    # vllm/v1/metrics/loggers.py; Prometheus ends the names of counters with _total.
    server_metrics: Mapping[ServerMetric, MetricSource] = MappingProxyType(
        {
            ServerMetric.KV_CACHE_USE: Gauge("vllm:kv_cache_usage_perc"),  # 1 is all of it
            ServerMetric.RUNNING: Gauge("vllm:num_requests_running"),
            ServerMetric.WAITING: Gauge("vllm:num_requests_waiting"),
            ServerMetric.PREEMPTIONS: Counter("vllm:num_preemptions_total"),
            ServerMetric.FINISHED: Counter("vllm:request_success_total"),  # aborted ones included
            ServerMetric.PREFIX_HIT_RATE: Ratio("vllm:prefix_cache_hits_total", "vllm:prefix_cache_queries_total"),
        }
    )

    def traits(self, study: Study) -> ServerTraits:
        args = args_as_read(load_catalogue(self.name, study.engine.version), study.engine.args)
        return ServerTraits(
            whole_blocks=True,
            limits_positions="hf-overrides" not in args and _LONGER not in study.engine.env,
            gpu_only="kv-cache-memory-bytes" not in args,
            holds_longest=True,
            cp_splits="experts",  # vllm/v1/core: cp copies the KV cache; fused_moe/config.py flattens tp, dp and cp
            cp_needs_mla=True,  # supports_pcp in vllm/v1/attention/backend.py
        )

    def gpus(self, parallelism: Parallelism) -> int:
        return parallelism.tp * parallelism.pp * parallelism.dp * parallelism.cp

    def rules(self, version: str) -> Sequence[EngineRule]:
        key = version_key(version)
        if key < version_key("0.25"):
            return (*_RULES, *_BEFORE_0_25)
        return (*_RULES, *(_BEFORE_0_32 if key < version_key("0.32") else _SINCE_0_32))

    def parallelism_flags(self, parallelism: Parallelism) -> dict[str, Any]:
        degrees = {
            "tensor-parallel-size": parallelism.tp,
            "pipeline-parallel-size": parallelism.pp,
            "data-parallel-size": parallelism.dp,
            "prefill-context-parallel-size": parallelism.cp,
            "decode-context-parallel-size": parallelism.dcp,
        }
        flags: dict[str, Any] = {name: degree for name, degree in degrees.items() if degree > 1}
        return {**flags, "enable-expert-parallel": True} if parallelism.ep > 1 else flags

    def problems(self, study: Study, names_and_values: Sequence[tuple[str, object]]) -> list[Problem]:
        found = flag_problems(self, study, names_and_values)
        args = args_as_read(load_catalogue(self.name, study.engine.version), study.engine.args)
        if study.workload.lora is not None and args.get("enable-lora") is False:
            found.append(Problem("engine.args.enable-lora", False, "workload.lora needs it", "true"))
        return [*found, *_speculation_problems(study, names_and_values)]

    def deployment(self, study: Study, config: Config) -> Deployment:
        settings = _completed(read_settings(self, study, config), study)
        shares = gpus_by_rank(study, settings.gpus)
        words = (*command(self, study), literal(settings.model), "--served-model-name", literal(settings.served_name))
        ranks = tuple(
            Rank(
                argv=(*words, *_place(number, len(shares)), *settings.words()),
                env=settings.env,
                measuring_env={_DEV_MODE: "1"},
                gpus=gpus,
                # API server, engine core and a worker a GPU: each keeps a core busy.
                cpus=study.hardware.server_cpus or (2 + gpus if gpus else 1),
            )
            for number, gpus in enumerate(shares)
        )
        return settings.deployment(
            ranks,
            metrics=None if settings.flags.get("disable-log-stats") else Probe("/metrics"),
            version=VersionProbe("/version", "version"),
            cache_reset=HttpCall("/reset_prefix_cache") if settings.env.get(_DEV_MODE, "1") == "1" else None,
        )

    def features(self, study: Study, config: Config) -> RequestFeatures:
        return RequestFeatures(token_ids=True, ignore_eos=True, min_tokens=True)

    def diagnose(self, exit_code: int | None, log_tail: str) -> FailureReport:
        report = diagnose_log(_PATTERNS, exit_code, log_tail, _ASIDES)
        return dataclasses.replace(report, message=_SUFFIX.sub("", _PREFIX.sub("", report.message)))


ENGINE = Vllm()


def _completed(settings: ServerSettings, study: Study) -> ServerSettings:
    """With the flags that follow from others."""
    flags = dict(settings.flags)
    if settings.gpus > 1 and flags.get("distributed-executor-backend") is None:
        flags["distributed-executor-backend"] = "mp"  # left alone, vLLM may find Ray around it and take that
    if flags.get("quantization-config") is not None and flags.get("quantization") is None:
        flags["quantization"] = "online"  # without a name the map is not looked at
    if study.workload.lora is not None:
        flags["enable-lora"] = True
        flags["lora-modules"] = [_adapter(name, path) for name, path in study.workload.lora.adapters.items()]
    return dataclasses.replace(settings, flags=flags)


def _speculation_problems(study: Study, searched: Sequence[tuple[str, object]]) -> Iterator[Problem]:
    """Speculation that asynchronous scheduling can't do. Rules see no maps, so they can't tell."""
    catalogue = load_catalogue(ENGINE.name, study.engine.version)
    pairs = [(f"engine.args.{name}", name, value) for name, value in study.engine.args.items()]
    pairs += [(f"space.parameters.{name}", name, value) for name, value in searched]
    given: dict[str, list[tuple[str, object]]] = {_ASYNC: [], _SPECULATION: []}
    for key, name, value in pairs:
        spelling = catalogue.spelling(name)
        if spelling is None or spelling.flag.name not in given:
            continue
        whole = spelling.whole(value)
        if not spelling.path or _method(whole) is not None:  # another key of the map says nothing of the method
            given[spelling.flag.name].append((key, whole))
    at_once, speculation = given[_ASYNC], given[_SPECULATION]
    on = [(key, value) for key, value in at_once if value is True]
    is_newer = version_key(catalogue.version) >= version_key("0.33")
    methods = _NOT_AT_ONCE_SINCE_0_33 if is_newer else _NOT_AT_ONCE
    refused = [(key, value) for key, value in speculation if _method(value) in methods]
    if not on or not refused:
        return
    rule = f"{_ASYNC} has no speculation by {', '.join(sorted({str(_method(value)) for _, value in refused}))}"
    if len(on) == len(at_once):
        yield from (Problem(key, value, rule, "ngram_gpu") for key, value in refused)
    else:
        yield Problem(*on[0], rule, "null", fatal=len(refused) == len(speculation))


def _method(speculation: object) -> object:
    if not isinstance(speculation, Mapping):
        return None
    named = speculation.get("method") or speculation.get("model")
    return named.strip("[]") if isinstance(named, str) else None


def _adapter(name: str, path: str) -> str:
    return json.dumps({"name": name, "path": path}) if "=" in name + path else f"{name}={path}"


def _place(number: int, ranks: int) -> tuple[str, ...]:
    """Where a rank listens, and where it meets the others."""
    own = ("--host", "{host}", "--port", "{port}") if number == 0 else ("--headless",)
    if ranks == 1:
        return own
    meeting = ("--master-addr", "{rank0.host}", "--master-port", "{rank0.port}")
    return (*own, "--nnodes", str(ranks), "--node-rank", str(number), *meeting)
