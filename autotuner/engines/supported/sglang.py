"""SGLang's server, ``python -m sglang.launch_server``.

Flags and their rules: sglang/srt/server_args.py and sglang/srt/arg_groups/*.py of the catalogued versions
(0.5.14, 0.5.23). Data parallelism is that of attention: it shares out the GPUs of ``tp`` and adds none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from autotuner.engines.deployment import Deployment, HttpCall, Probe, Rank, VersionProbe, literal
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
from autotuner.engines.loaded_formats import LoadedFormats
from autotuner.engines.logs.log_pattern import LogPattern, diagnose_log
from autotuner.engines.logs.shared_patterns import GPU_MEMORY, HUB, NODE, RANKS
from autotuner.engines.nodes import gpus_by_rank
from autotuner.engines.server_metrics import Counter, Gauge, MetricSource, Ratio, ServerMetric
from autotuner.engines.settings import ServerSettings, args_as_read, command, flag_problems, read_settings, served_name
from autotuner.errors import Failure
from autotuner.space.config import Config
from autotuner.space.parallelism import Parallelism
from autotuner.space.server_traits import ServerTraits
from autotuner.study.model import Study

_LONGER = "SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN"
_MODULE = ("-m", "sglang.launch_server")
_ATTENTION_DP = "attn-dp-size"  # newer versions have it in place of dp-size with enable-dp-attention
_METRICS = "enable-metrics"
# Waits until no request is left, for as many seconds: a cache in use is not emptied (status 400).
_FLUSH = "/flush_cache?timeout=5"

# Its logger tells no level (sglang/srt/utils/common.py); what ends a rank is printed as a traceback.
_ASIDES = (r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[^\]]*\] (?!ERROR:)",)  # ERROR: uvicorn's, which tells them

_NO_KV_ROOM = (r"Not enough memory\. Please try to increase",)

# Looked for in this order: what is told first explains what follows (a rank that ends for lack of memory leaves
# NCCL errors on the others). "Decode out of memory happened" is no end: requests are put back.
_ERROR = r"^(\[rank\d+\]: ?)?(AssertionError|ValueError|NotImplementedError): .*"
_PATTERNS = (
    *NODE,
    LogPattern(r"ValueError: \S+ at \d+ is not available in \d+ seconds", Failure.INFRASTRUCTURE),
    LogPattern(r"No accelerator \(CUDA|Error: The memory capacity is unbalanced", Failure.INFRASTRUCTURE),
    *(LogPattern(expression, Failure.OUT_OF_MEMORY_AT_START) for expression in _NO_KV_ROOM),
    *GPU_MEMORY,
    LogPattern(r"Error: (Prefill|Decode) out of memory|Error: Out of memory", Failure.OUT_OF_MEMORY_AT_START),
    LogPattern(r"runs out of memory|Not enough host memory", Failure.OUT_OF_MEMORY_AT_START),
    *HUB,
    LogPattern(r"^(launch_server\.py|sglang serve): error: ", Failure.INVALID_CONFIG),
    LogPattern(r"Cannot find any model weights", Failure.INVALID_CONFIG),
    LogPattern(r"^FileNotFoundError: |Can't load the (configuration|tokenizer)", Failure.INVALID_CONFIG),
    LogPattern(r"Model architectures .* are not supported|Unrecognized model in", Failure.INVALID_CONFIG),
    LogPattern(_ERROR + r"(?i:must|should be|divisible|support|compatible|exclusive)", Failure.INVALID_CONFIG),
    LogPattern(_ERROR + r"(?i:require|invalid|unknown|unsupported|does not match|only works)", Failure.INVALID_CONFIG),
    LogPattern(r"Watchdog caught collective operation timeout", Failure.HANG),
    LogPattern(r"(?i)watchdog timeout \((?!.*soft=True)", Failure.HANG, in_asides=True),
    *RANKS,
    LogPattern(r"failed to connect to any local network", Failure.INFRASTRUCTURE),
)

_ARGS = "sglang/srt/server_args.py"
_HOOKS = "sglang/srt/arg_groups"
_RULES = (
    EngineRule(
        "tp % dp == 0", "dp shares out the attention of the tp GPUs, so it divides tp", f"{_ARGS}: tp_size % dp_size"
    ),
    EngineRule(
        "tp % ep == 0", "experts are spread over the tp GPUs, so ep divides tp", "distributed/parallel_state.py"
    ),
    EngineRule(
        "moe_tp == 1 and moe_ep == 1", "experts are spread by ep alone: the rest of tp splits each of them", _ARGS
    ),
    EngineRule(
        "cp == 1",
        "context parallelism is of some models' prefill, inside tp: set attn-cp-size with enable-prefill-cp instead",
        _ARGS,
    ),
    EngineRule(
        "attn_cp_size <= 1 or tp % (dp * attn_cp_size) == 0",
        "attn-cp-size shares out the tp GPUs of each dp group, so it divides tp / dp",
        f"{_ARGS}: _handle_context_parallelism; {_HOOKS}/parallel_hook.py",
    ),
    EngineRule(
        "moe_a2a_backend in ['none', 'ascend_tp', null] or ep == tp",
        "with this moe-a2a-backend the server makes ep as large as tp: give it so",
        f"{_ARGS}: _handle_a2a_moe; {_HOOKS}/overrides.py: _a2a_ep_size",
    ),
    EngineRule(
        "moe_a2a_backend != 'flashinfer' or dp == tp",
        "moe-a2a-backend flashinfer needs dp as large as tp",
        f"{_ARGS}: _handle_a2a_moe; {_HOOKS}/moe_hook.py",
    ),
    EngineRule(
        "speculative_algorithm not in ['EAGLE', 'EAGLE3', 'NEXTN', 'STANDALONE'] or speculative_adaptive"
        " or speculative_num_steps != null or speculative_eagle_topk == null and speculative_num_draft_tokens == null",
        "speculative-eagle-topk and speculative-num-draft-tokens need speculative-num-steps: give it, or none of them",
        f"{_HOOKS}/speculative_hook.py",
    ),
    EngineRule(
        "quant.moe == 'auto' or quant.gemm == 'auto' or quant.moe == quant.gemm",
        "one format holds for all weights: that of the experts is that of gemm",
        "quantization",
    ),
    EngineRule(
        "chunked_prefill_size <= 0 or chunked_prefill_size // dp % page_size == 0",
        "chunked-prefill-size, shared out over dp, must be whole pages of page-size tokens",
        "check_server_args",
    ),
    EngineRule(
        "not (enable_hierarchical_cache and disable_radix_cache)",
        "enable-hierarchical-cache extends the prefix cache that disable-radix-cache turns off",
        f"{_ARGS}: _handle_cache_compatibility; {_HOOKS}/kv_cache_hook.py",
    ),
    EngineRule(
        "not (disable_cuda_graph_padding and enable_torch_compile)",
        "without padding each batch size would be compiled for itself: enable-torch-compile is refused then",
        "check_server_args",
    ),
    EngineRule(
        "not enable_priority_scheduling or schedule_policy in ['fcfs', 'lof', null]",
        "enable-priority-scheduling works with schedule-policy fcfs and lof alone",
        "check_server_args",
    ),
)
_RULES_OLD = (
    EngineRule(
        "not enable_two_batch_overlap or moe_a2a_backend != 'none'",
        "enable-two-batch-overlap hides an all-to-all: it needs a moe-a2a-backend",
        "check_server_args",
    ),
    EngineRule("dcp == 1", "this version has no decode context parallelism", _ARGS),
    EngineRule(
        "pp == 1 or speculative_algorithm == null",
        "pp and speculative decoding exclude each other",
        "check_server_args",
    ),
    EngineRule(
        "not enable_mixed_chunk or speculative_algorithm == null",
        "with speculative decoding this version turns enable-mixed-chunk off",
        f"{_HOOKS}/speculative_hook.py",
    ),
)
_RULES_NEW = (
    EngineRule(
        "not enable_prefill_cp or cp_strategy != null and dcp == 1",
        "enable-prefill-cp needs a cp-strategy, and does not go with dcp",
        f"{_HOOKS}/parallel_hook.py",
    ),
    EngineRule(
        "not enable_two_batch_overlap or moe_a2a_backend != 'none' or dp > 1",
        "enable-two-batch-overlap hides an all-to-all: it needs a moe-a2a-backend, or dp",
        "check_two_batch_overlap",
    ),
    EngineRule(
        "tp % (dp * dcp) == 0",
        "dcp shares out the tp GPUs of each dp group, so it divides tp / dp",
        "parallel_state.py",
    ),
    EngineRule(
        "pp == 1 or speculative_algorithm in ['EAGLE', 'NEXTN', null]",
        "with pp there is speculative decoding by EAGLE alone, and with SGLANG_ENABLE_PP_SPEC=1",
        f"{_HOOKS}/validation_hook.py: check_pipeline_parallel_compat",
    ),
    EngineRule(
        "not enable_mixed_chunk or speculative_algorithm in ['EAGLE', 'EAGLE3', 'NEXTN', 'DFLASH', 'DSPARK', null]",
        "with this speculative-algorithm the server turns enable-mixed-chunk off",
        "sglang/srt/speculative/spec_info.py: supports_mixed_chunk",
    ),
)
_LAST_OLD = "0.5.14"

_PRESETS: Mapping[str, Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {
        "single-gpu": {},
        "high-throughput": {"tp": (1, 2)},
        "large-model-tp": {"tp": (2, 4, 8)},
        "large-model-tp-pp": {"tp": (2, 4, 8), "pp": (2,)},
        "moe-optimized": {"tp": (4, 8), "dp": (1, 4, 8), "ep": (4, 8)},
        "balanced": {"tp": (2, 4), "dp": (1, 2)},
    }
)

_OFFLINE = QuantValue(offline=True)
_QUANTIZATION: Mapping[str, Mapping[str, QuantValue]] = MappingProxyType(
    {
        "gemm": {
            "bfloat16": QuantValue({"dtype": "bfloat16"}),
            "float16": QuantValue({"dtype": "float16"}),
            "fp8": QuantValue({"quantization": "fp8"}),  # weights are converted while they are loaded
            **dict.fromkeys(("awq", "gptq", "int8", "int4", "fp8_block", "nvfp4", "mxfp4", "w4a8_awq"), _OFFLINE),
        },
        "kv_cache": {
            "bfloat16": QuantValue({"kv-cache-dtype": "bfloat16"}),
            "fp8": QuantValue({"kv-cache-dtype": "fp8_e4m3"}, means="fp8_e4m3"),
            "fp8_e4m3": QuantValue({"kv-cache-dtype": "fp8_e4m3"}),
            "fp8_e5m2": QuantValue({"kv-cache-dtype": "fp8_e5m2"}),
        },
        "attention": {},  # attention computes in the format of the KV cache, by its backend
        "moe": {"fp8": QuantValue({"quantization": "fp8"}, means="fp8 for all weights")},
    }
)


_TELLS_VERSION = "from importlib.metadata import version; print('sglang', version('sglang'))"
_WHOLE = (("priority", ""),)


# _verify_quantization and REQUANTIZATION_METHODS in srt/configs/model_config.py, override_quantization_method in
# srt/layers/quantization/ (0.5.23). Checkpoints of ModelOpt start under any name, and keep their format.
_LOADED_FORMATS = LoadedFormats(
    by_all=frozenset({"humming", "quark_mxfp4"}),
    beside={
        "awq": frozenset({"awq_marlin", "moe_wna16"}),
        "gptq": frozenset({"gptq_marlin", "moe_wna16"}),
        "compressed-tensors": frozenset({"w8a8_int8", "w8a8_fp8", "auto-round-int8"}),
        "fp8": frozenset({"modelopt_fp4", "nvfp4_online"}),
        "modelopt": frozenset({"modelopt_fp4", "modelopt_fp8", "modelopt_mixed", "nvfp4_online", "petit_nvfp4"}),
        "mxfp8": frozenset({"minimax_m3_nvfp4"}),
    },
)


class SgLang:
    """SGLang, one process a node, which starts a scheduler for each of its GPUs by itself."""

    name = "sglang"
    command = ("python3", *_MODULE)
    package = "sglang"
    model_format = ModelFormat.HUB
    gpus_text = "tp * pp"

    # The server has no option that tells it: its package does.
    version_question = VersionQuestion(
        ("-c", _TELLS_VERSION), r"sglang (\S+)", help_argv=("--help",), instead_of=_MODULE
    )
    parallelism_presets = _PRESETS
    quantization = _QUANTIZATION
    loaded_formats = _LOADED_FORMATS
    memory_share = MemoryShare("mem-fraction-static", _NO_KV_ROOM)
    # sglang/srt/observability/metrics_collector.py; a "retracted" request is one put back for lack of KV cache.
    # With priority scheduling, priority="" is the sum of the others. Counters are there from their first count on.
    server_metrics: Mapping[ServerMetric, MetricSource] = MappingProxyType(
        {
            ServerMetric.KV_CACHE_USE: Gauge("sglang:token_usage"),
            ServerMetric.RUNNING: Gauge("sglang:num_running_reqs", where=_WHOLE),
            ServerMetric.WAITING: Gauge("sglang:num_queue_reqs", where=_WHOLE),
            ServerMetric.PREEMPTIONS: Counter("sglang:num_retracted_requests_total", from_first=True),
            ServerMetric.FINISHED: Counter("sglang:num_requests_total", from_first=True),
            ServerMetric.PREFIX_HIT_RATE: Ratio("sglang:cached_tokens_total", "sglang:prompt_tokens_total"),
        }
    )

    def traits(self, study: Study) -> ServerTraits:
        args = args_as_read(load_catalogue(self.name, study.engine.version), study.engine.args)
        return ServerTraits(
            attention_tp="tp / dp",
            dp_inside_tp=True,
            even_experts=True,
            whole_blocks=True,
            limits_positions="json-model-override-args" not in args and _LONGER not in study.engine.env,
        )

    def gpus(self, parallelism: Parallelism) -> int:
        return parallelism.tp * parallelism.pp

    def rules(self, version: str) -> Sequence[EngineRule]:
        old = version_key(version) <= version_key(_LAST_OLD)
        return (*_RULES, *(_RULES_OLD if old else _RULES_NEW))

    def parallelism_flags(self, parallelism: Parallelism) -> dict[str, Any]:
        # Degrees of 1 too: a flag of the study's own would change the GPUs behind its back.
        flags = {
            "tp-size": parallelism.tp,
            "pp-size": parallelism.pp,
            "dp-size": parallelism.dp,
            "enable-dp-attention": parallelism.dp > 1,
            "ep-size": parallelism.ep,
        }
        return flags if parallelism.dcp == 1 else {**flags, "dcp-size": parallelism.dcp}

    def problems(self, study: Study, names_and_values: Sequence[tuple[str, object]]) -> list[Problem]:
        return [*flag_problems(self, study, names_and_values), *_more_problems(study, names_and_values)]

    def deployment(self, study: Study, config: Config) -> Deployment:
        settings = _completed(read_settings(self, study, config))
        own = ["--model-path", literal(settings.model), "--served-model-name", literal(settings.served_name)]
        own += ["--host", "{host}", "--port", "{port}"]
        shares = _ranks(study, settings)
        ranks = tuple(
            Rank(
                argv=(*command(self, study), *own, *_place(number, len(shares)), *settings.words(), *_adapters(study)),
                env=settings.env,
                gpus=gpus,
                cpus=study.hardware.server_cpus or max(1, gpus),
            )
            for number, gpus in enumerate(shares)
        )
        return settings.deployment(
            ranks,
            ready=Probe("/health_generate"),  # 503 until its own first request is through; then it answers one more
            metrics=Probe("/metrics") if settings.flags.get(_METRICS) else None,
            version=VersionProbe("/server_info", "version"),
            cache_reset=None if settings.flags.get("disable-radix-cache") else HttpCall(_FLUSH),
        )

    def features(self, study: Study, config: Config) -> RequestFeatures:
        return RequestFeatures(token_ids=True, ignore_eos=True, adapter_model="{model}:{adapter}")

    def diagnose(self, exit_code: int | None, log_tail: str) -> FailureReport:
        return diagnose_log(_PATTERNS, exit_code, log_tail, _ASIDES)


ENGINE = SgLang()


def _completed(settings: ServerSettings) -> ServerSettings:
    """Without degrees that are the server's own, with data parallelism as this version writes it, and its metrics."""
    alone = ENGINE.parallelism_flags(Parallelism())
    flags = {name: value for name, value in settings.flags.items() if name not in alone or value != alone[name]}
    if settings.parallelism.dp > 1 and _ATTENTION_DP in settings.catalogue.flags:
        del flags["dp-size"], flags["enable-dp-attention"]
        flags[_ATTENTION_DP] = settings.parallelism.dp
    flags.setdefault(_METRICS, True)
    return dataclasses.replace(settings, flags=flags)


def _ranks(study: Study, settings: ServerSettings) -> tuple[int, ...]:
    """GPUs of each node's rank: whole pipeline stages a node, or whole nodes a stage.

    Source: sglang/srt/entrypoints/engine.py, _calculate_rank_ranges.
    """
    tp, pp = settings.parallelism.tp, settings.parallelism.pp
    nodes = len(gpus_by_rank(study, settings.gpus))
    while nodes > 1 and pp % nodes and (nodes % pp or tp % (nodes // pp)):
        nodes += 1
    return (settings.gpus // nodes,) * nodes


def _place(number: int, nodes: int) -> tuple[str, ...]:
    if nodes == 1:
        return ()
    return "--nnodes", str(nodes), "--node-rank", str(number), "--dist-init-addr", "{rank0}"


def _adapters(study: Study) -> tuple[str, ...]:
    """The words that load the study's adapters; they turn ``enable-lora`` on."""
    if study.workload.lora is None:
        return ()
    return "--lora-paths", *(literal(f"{name}={path}") for name, path in study.workload.lora.adapters.items())


def _more_problems(study: Study, searched: Sequence[tuple[str, object]]) -> Iterator[Problem]:
    """What catalogue and rules can't tell."""
    if ":" in served_name(study):
        rule = "no colon: the server reads what follows it as an adapter's name"
        yield Problem("model.served_name", served_name(study), rule)
    wide = [value for name, value in searched if name == "dp" and isinstance(value, int) and value > 1]
    if wide:
        rule = "shares out the attention of the tp GPUs, for models with MLA or many experts; it adds no replicas"
        yield Problem("space.parallelism.dp", max(wide), rule, "1", fatal=False)
