"""llama.cpp's llama-server.

Flags: tools/server/README.md of ggml-org/llama.cpp. The argv's executable is the logical name
``llama-server``; the launcher finds that binary, or starts the same server from the xllamacpp wheel.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

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
from autotuner.engines.flags.catalogue import load_catalogue
from autotuner.engines.loaded_formats import LoadedFormats
from autotuner.engines.logs.log_pattern import LogPattern, diagnose_log
from autotuner.engines.logs.shared_patterns import NODE
from autotuner.engines.server_metrics import Gauge, MetricSource, ServerMetric, Share
from autotuner.engines.settings import canonical, command, flag_problems, read_settings
from autotuner.errors import Failure
from autotuner.space.config import Config
from autotuner.space.parallelism import Parallelism
from autotuner.space.server_traits import ServerTraits
from autotuner.study.model import Study

_PLAIN_CACHE_TYPES = ("f32", "f16", "bf16")
_CACHE_TYPES = ("f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0", "q5_1")

_ASIDES = (r"[\d.]+ [DIW] ",)  # common/log.cpp: 0.00.024.119 I …

# Without memory in the words of Vulkan (vk::to_string), SYCL, OpenCL and cuBLAS (ggml-cuda.cu tells its statuses so).
_BACKEND_MEMORY = (
    r"Error(OutOf(Device|Host|Pool)Memory|FragmentedPool|TooManyObjects|MemoryMapFailed)\b|"
    r"[Mm]emory allocation of size \d+ failed|buffer size exceeds device \w+ (allocation|size) limit|"
    r"OUT_OF_(DEVICE|HOST)_MEMORY|CL_(MEM_OBJECT_ALLOCATION_FAILURE|OUT_OF_HOST_MEMORY)|ALLOC_FAILED|"
    r"error: the resource allocation failed"
)
# What a kernel or an operation could not do: another Config runs others. Lines before it name the operation.
_KERNEL = r"\b(CUDA|ROCm|MUSA|HIP) error: \w|GGML_ASSERT\(|ErrorDeviceLost|cannot run the operation"

# Looked for in this order.
_PATTERNS = (
    *NODE,
    LogPattern(r"couldn't bind HTTP server socket", Failure.INFRASTRUCTURE),
    LogPattern(r"(?i)out of memory|insufficient memory|std::bad_alloc", Failure.OUT_OF_MEMORY_AT_START),
    LogPattern(_BACKEND_MEMORY, Failure.OUT_OF_MEMORY_AT_START),
    LogPattern(r"failed to allocate|unable to allocate", Failure.OUT_OF_MEMORY_AT_START),
    LogPattern(_KERNEL, Failure.CRASH),
    LogPattern(r"^error while handling argument ", Failure.INVALID_CONFIG),  # common/arg.cpp
    LogPattern(r"^error: (invalid argument|argument |unknown argument|--)", Failure.INVALID_CONFIG),
    LogPattern(r"^error: .*(expected|requires|invalid|unknown|unsupported)", Failure.INVALID_CONFIG),
    LogPattern(r"failed to open GGUF file|invalid magic characters", Failure.INVALID_CONFIG),
    LogPattern(r"error loading model: ", Failure.INVALID_CONFIG),
    LogPattern(r"requires flash_attn|not supported|unsupported", Failure.INVALID_CONFIG),
    # What follows from another line, whatever that says.
    LogPattern(r"failed to create[_ ]context", Failure.INVALID_CONFIG),
    LogPattern(r"error loading model|failed to load model", Failure.INVALID_CONFIG),
)


_RULES = (
    EngineRule("tp == 1 or pp == 1", "a model is split over GPUs by rows (tp) or by layers (pp), not by both"),
    EngineRule("dp == 1", "a server is one process without replicas: data parallelism is several servers"),
    EngineRule("ep == 1 and moe_ep == 1 and moe_tp == 1", "experts are not spread over GPUs of their own"),
    EngineRule("cp == 1 and dcp == 1", "the context of a request is not split over GPUs"),
)

# ctx-size is shared out among the slots, unless they have one buffer together.
_REQUEST_ROOM = (
    "ctx_size <= 0 or ctx_size >= {tokens} and (parallel < 1 or kv_unified == true or ctx_size / parallel >= {tokens})"
)

_PRESETS: Mapping[str, Mapping[str, tuple[int, ...]]] = MappingProxyType(
    {"single-gpu": {}, "large-model-tp": {"tp": (2, 4, 8)}, "large-model-pp": {"pp": (2, 4, 8)}}
)


def _cache_types(name: str) -> QuantValue:
    return QuantValue({"cache-type-k": name, "cache-type-v": name})


_QUANTIZATION: Mapping[str, Mapping[str, QuantValue]] = MappingProxyType(
    {
        "gemm": {},  # the GGUF file says; other files are model.variants
        "kv_cache": {
            **{name: _cache_types(name) for name in _CACHE_TYPES},
            "float16": _cache_types("f16"),
            "bfloat16": _cache_types("bf16"),
            "int8": QuantValue({"cache-type-k": "q8_0", "cache-type-v": "q8_0"}, means="q8_0"),
            "fp8": QuantValue({"cache-type-k": "q8_0", "cache-type-v": "q8_0"}, means="q8_0"),
        },
        "attention": {},
        "moe": {},
    }
)


class LlamaCpp:
    """llama.cpp, one process a server, on CPU cores or on the GPUs that the study gives to each server."""

    name = "llamacpp"
    command = ("llama-server",)
    package = "xllamacpp"
    model_format = ModelFormat.GGUF
    gpus_text = "tp * pp"

    version_question = VersionQuestion(("--version",), r"version: (\d+)")
    parallelism_presets = _PRESETS
    quantization = _QUANTIZATION
    loaded_formats = LoadedFormats()
    memory_share: MemoryShare | None = None
    # As the page of b11549 has them: it tells of no KV cache and no preemption.
    server_metrics: Mapping[ServerMetric, MetricSource] = MappingProxyType(
        {
            ServerMetric.RUNNING: Gauge("llamacpp:requests_processing"),
            ServerMetric.WAITING: Gauge("llamacpp:requests_deferred"),
            ServerMetric.PREFIX_HIT_RATE: Share(
                hits="llamacpp:prompt_tokens_cached_total", misses="llamacpp:prompt_tokens_total"
            ),
        }
    )

    def traits(self, study: Study) -> ServerTraits:
        return ServerTraits(limits_positions=False, gpu_only=False, request_room=_REQUEST_ROOM)

    def gpus(self, parallelism: Parallelism) -> int:
        spread = parallelism.tp * parallelism.pp
        return spread if spread > 1 else 0  # it runs on the CPU as well

    def rules(self, version: str) -> Sequence[EngineRule]:
        return _RULES

    def parallelism_flags(self, parallelism: Parallelism) -> dict[str, Any]:
        if parallelism.tp > 1:
            return {"split-mode": "row"}
        return {"split-mode": "layer"} if parallelism.pp > 1 else {}

    def problems(self, study: Study, names_and_values: Sequence[tuple[str, object]]) -> list[Problem]:
        found = flag_problems(self, study, names_and_values)
        if study.workload.lora is not None:
            rule = "llama-server chooses adapters by a request's own field lora, not by its model name: it is not sent"
            found.append(Problem("workload.lora", sorted(study.workload.lora.adapters), rule))
        if any(problem.fatal for problem in found):
            return found
        catalogue = load_catalogue(self.name, study.engine.version)
        return [*found, *_contradictions(canonical(catalogue, study.engine.args))]

    def deployment(self, study: Study, config: Config) -> Deployment:
        settings = read_settings(self, study, config)
        flags = dict(settings.flags)
        threads = _threads(study, flags)
        flags["threads"] = flags.get("threads") or threads
        flags.setdefault("metrics", True)  # its page is read while it is measured
        settings = dataclasses.replace(settings, flags=flags)
        own = ["--model", literal(settings.model), "--alias", literal(settings.served_name)]
        rank = Rank(
            argv=(*command(self, study), *own, "--host", "{host}", "--port", "{port}", *settings.words()),
            env=settings.env,
            gpus=settings.gpus,
            cpus=threads,
        )
        return settings.deployment(
            [rank],
            metrics=Probe("/metrics") if flags.get("metrics") else None,
            version=VersionProbe("/props", "build_info"),
        )

    def features(self, study: Study, config: Config) -> RequestFeatures:
        # `cache_prompt` is not sent: a request's own value would override the flag under test.
        return RequestFeatures(token_ids=True, ignore_eos=True)

    def diagnose(self, exit_code: int | None, log_tail: str) -> FailureReport:
        return diagnose_log(_PATTERNS, exit_code, log_tail, _ASIDES)


ENGINE = LlamaCpp()


def _contradictions(flags: Mapping[str, Any]) -> Iterator[Problem]:
    """What the server refuses among the flags that every Config shares."""
    cache_type = flags.get("cache-type-v")
    if flags.get("flash-attn") in ("off", False) and cache_type not in (None, *_PLAIN_CACHE_TYPES):
        yield Problem("engine.args.cache-type-v", cache_type, "a quantised V cache needs flash-attn on or auto", "f16")
    slots, context = flags.get("parallel"), flags.get("ctx-size")
    if isinstance(slots, int) and isinstance(context, int) and 0 < context < slots:
        yield Problem("engine.args.ctx-size", context, f"must hold at least a token for each of {slots} slots")


def _threads(study: Study, flags: Mapping[str, Any]) -> int:
    """Cores of a server: what the study says, else as many as its threads, else one.

    llama-server on its own would take every core of the machine.
    """
    if study.hardware.server_cpus is not None:
        return study.hardware.server_cpus
    return max(flags.get("threads") or 1, flags.get("threads-batch") or 1)
