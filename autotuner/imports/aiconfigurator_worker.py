"""One worker of an aiconfigurator experiment: where its keys stand, its formats and its flags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from autotuner.errors import InputError
from autotuner.imports.draft import StudyDraft
from autotuner.imports.record import Recorder

_OLD_LISTS = {
    "num_gpu_candidates": "num_gpu_per_worker",
    "tp_candidates": "tp_list",
    "pp_candidates": "pp_list",
    "dp_candidates": "dp_list",
    "moe_tp_candidates": "moe_tp_list",
    "moe_ep_candidates": "moe_ep_list",
}
# The older shape's profiles, each a set of formats.
_PROFILES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "fp8": {"gemm": "fp8", "moe": "fp8", "kvcache": "fp8", "fmha": "fp8"},
        "fp8_static": {"gemm": "fp8_static", "moe": "fp8", "kvcache": "fp8", "fmha": "fp8"},
        "bfloat16": {"gemm": "bfloat16", "moe": "bfloat16", "kvcache": "bfloat16", "fmha": "bfloat16"},
        "nvfp4": {"gemm": "nvfp4", "moe": "nvfp4", "kvcache": "fp8", "fmha": "fp8"},
        "mxfp4": {"gemm": "bfloat16", "moe": "w4a16_mxfp4", "kvcache": "bfloat16", "fmha": "bfloat16"},
    }
)
# aiconfigurator's name of a part → ours, and the formats that an engine can make of unquantised weights or of the
# cache. bfloat16 is what a cache, attention and such weights have without a flag.
_FORMATS = {"gemm": "gemm", "moe": "moe", "kvcache": "kv_cache", "fmha": "attention"}
_ON_LOAD = frozenset({"fp8"})
_PLAIN = frozenset({"bfloat16", "float16"})
_OF_WEIGHTS = "the weights decide: model.id must have them in this format, or an entry of model.variants"
_OF_ENGINE = "the engine chooses it by its kernels"
_LIMITS = {"vllm": "max-model-len", "sglang": "context-length", "trtllm": "max_seq_len"}


class Worker:
    """A worker's keys, wherever one of the three shapes has them: ``agg`` or ``decode``."""

    def __init__(self, experiment: Recorder, role: str) -> None:
        self.experiment = experiment
        self.role = role
        config = experiment.section("config")
        self._config = config
        self._old = config.section("worker_config" if role == "agg" else f"{role}_worker_config")

    def _place(self, name: str) -> tuple[Recorder, str]:
        """The first place that has the key, else where the flat shape has it."""
        flat = f"{self.role}_{name}" if self.role != "agg" or name.endswith("_candidates") else name
        places = [
            (self.experiment, flat),
            (self._old, _OLD_LISTS.get(name, name)),
            (self._config, name),
            (self.experiment, name),
        ]
        return next(((place, key) for place, key in places if key in place), places[0])

    def key(self, name: str) -> str:
        place, key = self._place(name)
        return place.key(key)

    def get(self, name: str) -> Any:
        place, key = self._place(name)
        return place.get(key)

    def text(self, name: str) -> str | None:
        place, key = self._place(name)
        found = place.text(key)
        return None if found == "None" else found  # as some write a null

    def required_text(self, name: str) -> str:
        place, key = self._place(name)
        return place.required_text(key)

    def wholes(self, name: str) -> list[int] | None:
        place, key = self._place(name)
        return place.wholes(key)

    def wrong(self, name: str, value: Any, rule: str) -> InputError:
        place, key = self._place(name)
        return place.wrong(key, value, rule)

    def note(self, name: str, value: Any, reason: str) -> None:
        self.experiment.note_key(self.key(name), value, reason)

    def profile(self) -> Mapping[str, str]:
        profiles = self.experiment.get("profiles") or []
        names = profiles if isinstance(profiles, list) else [profiles]
        known = [name for name in names if name in _PROFILES]
        for name in [name for name in names if name not in known[:1]]:
            self.experiment.note(("profiles",), name, "no profile of formats, or not the first one")
        return _PROFILES[known[0]] if known else {}


def put_quantization(draft: StudyDraft, worker: Worker, engines: Sequence[str]) -> None:
    """Formats that a server makes itself; those that need other weights are listed."""
    profile = worker.profile()
    for theirs, ours in _FORMATS.items():
        name = f"{theirs}_quant_mode"
        value = worker.text(name) or profile.get(theirs)
        if value is None or (value in _PLAIN and ours != "gemm"):
            continue
        if value not in _ON_LOAD:
            worker.note(name, value, _OF_WEIGHTS if ours in ("gemm", "moe") else _OF_ENGINE)
        elif ours == "attention" and "trtllm" not in engines:
            worker.note(name, value, _OF_ENGINE)
        else:
            draft.put([value], "space", "quantization", ours, origin=worker.key(name))
    if worker.text("comm_quant_mode") not in (None, "half"):
        worker.note("comm_quant_mode", worker.text("comm_quant_mode"), "no engine has a flag for it")


def put_flags(draft: StudyDraft, worker: Worker, engines: Sequence[str]) -> None:
    """Settings that are flags of the engine."""
    for engine in engines:
        place = ("engine", "args") if len(engines) == 1 else ("engine", "per_engine", engine, "args")
        _chunked_prefill(draft, worker, engine, place)
        _speculation(draft, worker, engine, place)
        _balancer(draft, worker, engine, place)
        _kernels(draft, worker, engine, place)
        draft.put(worker.get("max_seq_len"), *place, _LIMITS[engine], origin=worker.key("max_seq_len"))
        fraction = worker.get("free_gpu_memory_fraction")
        if engine == "trtllm":
            name = "kv_cache_config.free_gpu_memory_fraction"
            draft.put(fraction, *place, name, origin=worker.key("free_gpu_memory_fraction"))
        elif fraction is not None:
            worker.note("free_gpu_memory_fraction", fraction, f"{engine} counts the weights in: set its own fraction")


def _chunked_prefill(draft: StudyDraft, worker: Worker, engine: str, place: tuple[str, ...]) -> None:
    # Only the flat shape of agg and prefill has it; false is aiconfigurator's default, not a wish.
    wanted = worker.get("enable_chunked_prefill")
    if wanted and engine != "sglang":
        name = "enable-chunked-prefill" if engine == "vllm" else "enable_chunked_prefill"
        draft.put(True, *place, name, origin=worker.key("enable_chunked_prefill"))
    elif wanted is False and worker.experiment.look("enable_chunked_prefill") is False:
        worker.note("enable_chunked_prefill", False, "the engine's own default holds")


def _speculation(draft: StudyDraft, worker: Worker, engine: str, place: tuple[str, ...]) -> None:
    """Multi-token prediction with the model's own layers, as aiconfigurator's generated files ask for it."""
    tokens = worker.get("nextn")
    if not tokens:
        return
    if not isinstance(tokens, int) or isinstance(tokens, bool):
        worker.note("nextn", tokens, "a number of draft tokens is needed: see the engine's speculative flags")
        return
    origin = worker.key("nextn")
    match engine:
        case "vllm":
            value: Any = {"method": "mtp", "num_speculative_tokens": tokens}
            draft.put(value, *place, "speculative-config", origin=origin)
        case "sglang":
            flags = {"algorithm": "EAGLE", "num-steps": tokens, "eagle-topk": 1, "num-draft-tokens": tokens + 1}
            for name, value in flags.items():
                draft.put(value, *place, f"speculative-{name}", origin=origin)
        case _:
            value = {"decoding_type": "MTP", "num_nextn_predict_layers": tokens}
            draft.put(value, *place, "speculative_config", origin=origin)


def _balancer(draft: StudyDraft, worker: Worker, engine: str, place: tuple[str, ...]) -> None:
    if not worker.get("enable_eplb"):
        return
    if engine == "trtllm":
        worker.note("enable_eplb", True, "TensorRT-LLM balances experts by a file: moe_config.load_balancer")
    else:
        draft.put(True, *place, "enable-eplb", origin=worker.key("enable_eplb"))


def _kernels(draft: StudyDraft, worker: Worker, engine: str, place: tuple[str, ...]) -> None:
    for name, flag in (("attention_backend", "attention-backend"), ("moe_backend", "moe-runner-backend")):
        value = worker.text(name)
        if value is None:
            continue
        if engine == "sglang":
            draft.put(value, *place, flag, origin=worker.key(name))
        else:
            worker.note(name, value, f"aiconfigurator means SGLang's; {engine} chooses its own")
    if not worker.get("enable_wideep"):
        return
    worker.note("enable_wideep", True, "experts over many GPUs: see space.parallelism.ep and moe_ep")
