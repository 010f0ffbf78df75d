"""TensorRT-LLM's trtllm-serve, PyTorch backend.

Most of its tuning goes through a YAML file, which is written beside the server. Keys and options:
tensorrt_llm/llmapi/llm_args.py and tensorrt_llm/commands/serve.py of NVIDIA/TensorRT-LLM, by the catalogues'
versions. It has no way to empty its prefix cache while it runs: prompts have to be new.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from autotuner.engines import mpi_ranks
from autotuner.engines.deployment import Deployment, Probe, Rank, VersionProbe, literal
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
from autotuner.engines.flags.flag import Place
from autotuner.engines.key_file import key_file
from autotuner.engines.loaded_formats import LoadedFormats
from autotuner.engines.logs.log_pattern import LogPattern, diagnose_log
from autotuner.engines.logs.shared_patterns import GPU_MEMORY, HUB, NODE, RANKS
from autotuner.engines.nodes import gpus_by_rank
from autotuner.engines.server_metrics import Counter, Gauge, MetricSource, ServerMetric
from autotuner.engines.settings import ServerSettings, command, flag_problems, read_settings
from autotuner.errors import Failure
from autotuner.space.config import Config
from autotuner.space.parallelism import Parallelism
from autotuner.space.server_traits import ServerTraits
from autotuner.study.model import Study

_FILE = "config.yaml"
_MPI = "mpi_ranks.py"
_FILE_OPTIONS = ("config", "extra_llm_api_options")  # how versions call the option that names it, newest first
_HELIX = MappingProxyType({"cp_type": "HELIX", "tokens_per_block": 32})  # 32: kv_cache_config.tokens_per_block

# [time] [TRT-LLM] [RANK 2] [W] (tensorrt_llm/logger.py) and [TensorRT-LLM][WARNING] (common/logger.h).
_ASIDES = (r"[\d/:. -]*(?:\[[^\]]*\] ?)*?\[(?:[VDIW]|TRACE|DEBUG|INFO|WARNING)\]",)

_NO_KV_ROOM = (r"maxTokensInPagedKvCache must be large enough", r"(?i:fit (in )?any sequence in (the )?kv ?cache)")

# Looked for in this order: what is told first explains the lines after it (a rank that ends for lack of memory
# leaves NCCL and MPI errors on the others).
_PATTERNS = (
    *NODE,
    LogPattern(r"No GPU devices found|Failed to bind socket", Failure.INFRASTRUCTURE),
    LogPattern(r"insufficient GPU memory", Failure.OUT_OF_MEMORY_AT_START),
    *GPU_MEMORY,
    LogPattern(r"CUDA (runtime )?error.*out of memory|cudaErrorMemoryAllocation", Failure.OUT_OF_MEMORY_AT_START),
    *(LogPattern(expression, Failure.OUT_OF_MEMORY_AT_START) for expression in _NO_KV_ROOM),
    *HUB,
    LogPattern(r"^Error: (No such option|Invalid value|Missing|Got unexpected|Option )", Failure.INVALID_CONFIG),
    LogPattern(r"got invalid argument: |Extra inputs are not permitted", Failure.INVALID_CONFIG),
    LogPattern(r"\d+ validation errors? for ", Failure.INVALID_CONFIG),
    LogPattern(r"no config.json exists", Failure.INVALID_CONFIG),
    LogPattern(r"Unknown architecture for|is not supported in TRT-LLM", Failure.INVALID_CONFIG),
    LogPattern(r"[Oo]verrid(e|ing) KV cache quantization", Failure.INVALID_CONFIG),
    LogPattern(r"only supports? (Hopper|Blackwell|SM ?\d)", Failure.INVALID_CONFIG),
    LogPattern(r"Error: .*must equal to |NotImplementedError: ", Failure.INVALID_CONFIG),
    LogPattern(r"Error: .*(does not support|doesn't support|not supported|[Uu]nsupported)", Failure.INVALID_CONFIG),
    LogPattern(r"Hang detected on rank", Failure.HANG),
    *RANKS,
    LogPattern(r"MPI_ABORT was invoked|ORTE has lost communication|MPI_ERR_", Failure.INFRASTRUCTURE),
)

_MAPPING = "tensorrt_llm/mapping.py"
_RULES = (
    EngineRule("dp == 1", "a server has no replicas inside: data parallelism is several servers", _MAPPING),
    EngineRule("dcp == 1", "the KV cache is not split over GPUs while decoding, but by cp", _MAPPING),
    EngineRule("tp % ep == 0 and tp % moe_ep == 0", "experts are spread over the tp ranks", _MAPPING),
    EngineRule("moe_tp * moe_ep in [1, tp]", "moe_tp * moe_ep must be tp", _MAPPING),
    EngineRule("ep == 1 or moe_ep in [1, ep]", "ep and moe_ep are the same degree: give one of them", _MAPPING),
    EngineRule("ep == 1 or moe_tp == 1 or ep * moe_tp == tp", "moe_tp * ep must be tp", _MAPPING),
    EngineRule(
        "cp == 1 or ep * moe_tp * moe_ep == 1",
        "with context parallelism the server spreads experts over tp * cp by itself, or not at all",
        _MAPPING,
    ),
)
_RULES_1_0 = (
    EngineRule("cp == 1", "its server has no option for context parallelism", "tensorrt_llm/commands/serve.py"),
    EngineRule("quant.kv_cache != 'nvfp4'", "its KV cache is auto or fp8", "_torch/pyexecutor/model_engine.py"),
)
_RULES_1_2 = (
    EngineRule(
        "enable_attention_dp or not enable_lm_head_tp_in_adp",
        "enable_lm_head_tp_in_adp is a part of enable_attention_dp",
        _MAPPING,
    ),
)

_PRESETS: Mapping[str, Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "single-gpu": {},
        "high-throughput": {"tp": (1, 2)},
        "large-model-tp": {"tp": (2, 4, 8)},
        "large-model-tp-pp": {"tp": (2, 4), "pp": (2,)},
        "moe-optimized": {"tp": (4, 8), "moe_tp": (1, 2), "moe_ep": (4, 8)},
        "long-context": {"tp": (1, 2, 4), "cp": (2,)},
    }
)

_OFFLINE = QuantValue(offline=True)
_AS_LOADED = QuantValue(means="auto")  # the checkpoint's own format, which nothing overrides
_QUANTIZATION: Mapping[str, Mapping[str, QuantValue]] = MappingProxyType(
    {
        # The PyTorch backend quantises no weights itself: see features/quantization in its documentation.
        "gemm": {
            "bfloat16": _AS_LOADED,
            "float16": _AS_LOADED,
            **dict.fromkeys(("fp8", "fp8_block", "nvfp4", "mxfp4", "awq", "gptq", "w4a8_awq"), _OFFLINE),
        },
        "kv_cache": {
            "bfloat16": _AS_LOADED,
            "float16": _AS_LOADED,
            "fp8": QuantValue({"kv_cache_config.dtype": "fp8"}),
            "fp8_e4m3": QuantValue({"kv_cache_config.dtype": "fp8"}, means="fp8"),
            "nvfp4": QuantValue({"kv_cache_config.dtype": "nvfp4"}),
        },
        "attention": {},
        "moe": dict.fromkeys(("bfloat16", "float16", "fp8", "nvfp4", "mxfp4"), _AS_LOADED),
    }
)


class TensorRtLlm:
    """TensorRT-LLM. On one node a server is a process, which starts one for each of its GPUs by itself."""

    name = "trtllm"
    command = ("trtllm-serve",)
    package = "tensorrt-llm"
    model_format = ModelFormat.HUB
    gpus_text = "tp * pp * cp"

    # No option tells it: the package prints its version when it is imported.
    version_question = VersionQuestion(("--help",), r"TensorRT[- ]LLM version: (\S+)", ("serve", "--help"))
    parallelism_presets = _PRESETS
    quantization = _QUANTIZATION
    loaded_formats = LoadedFormats()
    memory_share = MemoryShare("kv_cache_config.free_gpu_memory_fraction", _NO_KV_ROOM)
    # Since 1.3; before, the endpoint has latencies only (tensorrt_llm/metrics/collector.py).
    server_metrics: Mapping[ServerMetric, MetricSource] = MappingProxyType(
        {
            ServerMetric.KV_CACHE_USE: Gauge("trtllm_kv_cache_utilization"),
            ServerMetric.RUNNING: Gauge("trtllm_num_requests_running"),
            ServerMetric.WAITING: Gauge("trtllm_num_requests_waiting"),
            ServerMetric.FINISHED: Counter("trtllm_request_success_total", from_first=True),
            ServerMetric.PREFIX_HIT_RATE: Gauge("trtllm_kv_cache_hit_rate"),
        }
    )

    def traits(self, study: Study) -> ServerTraits:
        return ServerTraits(limits_positions=False, fraction_of="rest", even_experts=True)

    def gpus(self, parallelism: Parallelism) -> int:
        return parallelism.tp * parallelism.pp * parallelism.cp

    def rules(self, version: str) -> Sequence[EngineRule]:
        return (*_RULES, *(_RULES_1_0 if version.startswith("1.0.") else _RULES_1_2))

    def parallelism_flags(self, parallelism: Parallelism) -> dict[str, Any]:
        degrees = {
            "tensor_parallel_size": parallelism.tp,
            "pipeline_parallel_size": parallelism.pp,
            "context_parallel_size": parallelism.cp,
            "moe_tensor_parallel_size": parallelism.moe_tp,
            "moe_expert_parallel_size": max(parallelism.ep, parallelism.moe_ep),
        }
        return {name: degree for name, degree in degrees.items() if degree > 1}

    def problems(self, study: Study, names_and_values: Sequence[tuple[str, object]]) -> list[Problem]:
        return [*flag_problems(self, study, names_and_values), *_more_problems(study, names_and_values)]

    def deployment(self, study: Study, config: Config) -> Deployment:
        settings = read_settings(self, study, config)
        content = key_file(_file_keys(settings))
        gpus = gpus_by_rank(study, settings.gpus)
        serve = Rank(
            argv=(*command(self, study), *_words(settings, with_file=bool(content))),
            env=settings.env,
            files={_FILE: content} if content else {},
            gpus=gpus[0],
            cpus=study.hardware.server_cpus or max(1, gpus[0]),
        )
        return settings.deployment(  # the server has no name for the model: requests may call it as they like
            [serve] if len(gpus) == 1 else _joined_by_mpi(serve, len(gpus)),
            metrics=Probe("/prometheus/metrics") if settings.flags.get("return_perf_metrics") else None,
            version=VersionProbe("/version", "version"),
        )

    def features(self, study: Study, config: Config) -> RequestFeatures:
        return RequestFeatures(token_ids=True, ignore_eos=True, min_tokens=True)

    def diagnose(self, exit_code: int | None, log_tail: str) -> FailureReport:
        return diagnose_log(_PATTERNS, exit_code, log_tail, _ASIDES)


ENGINE = TensorRtLlm()


def _joined_by_mpi(serve: Rank, nodes: int) -> list[Rank]:
    """A rank on each node. The first starts an MPI process for each GPU of all nodes, under the server's own launcher.

    Source: docs, trtllm-serve, "Multi-node Serving"; tensorrt_llm/llmapi/trtllm-llmapi-launch.
    """
    script, meeting = ("python3", f"{{files}}/{_MPI}"), ("{rank0.host}", "{rank0.port}")
    program = {_MPI: inspect.getsource(mpi_ranks)}
    lead = (*script, "lead", *meeting, str(nodes), str(serve.gpus), "trtllm-llmapi-launch", *serve.argv)
    return [
        replace(serve, argv=lead, files={**serve.files, **program}),
        *(replace(serve, argv=(*script, "join", *meeting, str(n)), files=program) for n in range(1, nodes)),
    ]


def _words(settings: ServerSettings, *, with_file: bool) -> tuple[str, ...]:
    """The argv after the executable."""
    flags = settings.catalogue.flags
    in_file = [name for name in settings.flags if flags[name].where is Place.YAML]
    words = [literal(settings.model), "--host", "{host}", "--port", "{port}", "--backend", "pytorch"]
    words += settings.words(without=in_file)
    if with_file:
        option = next(name for name in _FILE_OPTIONS if name in flags)
        words += [f"--{option}", f"{{files}}/{_FILE}"]
    return tuple(words)


def _file_keys(settings: ServerSettings) -> dict[str, Any]:
    """The dotted keys of the configuration file."""
    flags = settings.catalogue.flags
    keys = {name: value for name, value in settings.flags.items() if flags[name].where is Place.YAML}
    has_own = any(name.partition(".")[0] == "cp_config" for name, value in keys.items() if value is not None)
    if settings.parallelism.cp > 1 and not has_own:
        keys["cp_config"] = dict(_HELIX)
    return keys


def _more_problems(study: Study, searched: Sequence[tuple[str, object]]) -> Iterator[Problem]:
    """What catalogue and rules can't tell."""
    if study.workload.lora is not None:
        rule = "trtllm-serve is told of an adapter by each request's own lora_request, which is not sent"
        yield Problem("workload.lora", sorted(study.workload.lora.adapters), rule)
    degrees = [value for name, value in searched if name == "cp" and isinstance(value, int) and value > 1]
    if degrees:
        rule = (
            "context parallelism is a prototype: Helix, for models with MLA on Blackwell (see docs/engines/trtllm.md)"
        )
        yield Problem("space.parallelism.cp", max(degrees), rule, "1", fatal=False)
