"""A Config that leaves its servers less of a GPU's memory than one with which they did not start."""

from __future__ import annotations

from typing import Any

import pytest

from autotuner.engines import get_engine
from autotuner.engines.less_memory import with_less_memory
from autotuner.errors import Failure
from autotuner.space.config import Config
from autotuner.study.model import Study

SHARES = {
    "vllm": "gpu-memory-utilization",
    "sglang": "mem-fraction-static",
    "trtllm": "kv_cache_config.free_gpu_memory_fraction",
}
NO_MEMORY = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"


def study(name: str | list[str], **engine: Any) -> Study:
    load = {"scenario": "D(8,4)", "load": {"concurrency": [1]}}
    return Study.model_validate(
        {"name": "t", "model": {"id": "m"}, "engine": {"name": name, **engine}, "workload": load}
    )


def less(given: Study, config: dict[str, Any], message: str = NO_MEMORY) -> dict[str, Any] | None:
    found = with_less_memory(given, Config(config), message)
    return None if found is None else dict(found.values)


@pytest.mark.parametrize(("engine", "flag"), SHARES.items())
def test_a_twentieth_of_the_memory_less(engine: str, flag: str) -> None:
    assert less(study(engine), {flag: 0.9, "tp": 2}) == {flag: 0.85, "tp": 2}
    assert less(study(engine, args={flag: 0.8}), {"tp": 2}) == {flag: 0.75, "tp": 2}


def test_the_servers_own_default_is_where_it_begins() -> None:
    assert less(study("vllm", version="0.27.0"), {}) == {"gpu-memory-utilization": 0.87}  # its catalogue says 0.92
    assert less(study("trtllm", version="1.0.0"), {}) == {"kv_cache_config.free_gpu_memory_fraction": 0.85}
    assert less(study("sglang"), {}) is None, "it computes its own, and tells nobody"


@pytest.mark.parametrize("spelt", ["gpu_memory_utilization", "vllm.gpu-memory-utilization"])
def test_the_config_keeps_its_spelling(spelt: str) -> None:
    assert less(study("vllm"), {spelt: 0.9}) == {spelt: 0.85}


def test_the_share_of_the_configs_own_engine_of_several() -> None:
    both = study(["vllm", "sglang"])
    given = {"engine": "sglang", "vllm.gpu-memory-utilization": 0.9, "sglang.mem-fraction-static": 0.8}
    assert less(both, given) == {**given, "sglang.mem-fraction-static": 0.75}


def test_nothing_less_where_there_is_no_share_or_nothing_would_be_left() -> None:
    assert less(study("llamacpp"), {"ctx-size": 4096}) is None
    assert less(study("vllm"), {"gpu-memory-utilization": 0.05}) is None
    assert less(study("vllm"), {"gpu-memory-utilization": 0.06}) == {"gpu-memory-utilization": 0.01}


@pytest.mark.parametrize(
    ("engine", "line"),
    [
        ("vllm", "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization`"),
        ("vllm", "ValueError: To serve one request, (16 GiB KV cache is needed, which is larger than the available 2"),
        ("sglang", "RuntimeError: Not enough memory. Please try to increase --mem-fraction-static."),
        ("trtllm", "RuntimeError: Can't fit any sequence in KV cache"),
        ("trtllm", "Assertion failed: maxTokensInPagedKvCache must be large enough"),
    ],
)
def test_a_share_that_was_too_small_is_not_made_smaller(engine: str, line: str) -> None:
    assert get_engine(engine).diagnose(1, line).failure is Failure.OUT_OF_MEMORY_AT_START
    assert less(study(engine), {SHARES[engine]: 0.9}, line) is None


@pytest.mark.parametrize(
    "line",
    [
        "autotuner: the container was killed at its memory limit",
        "autotuner: the kernel killed the server, for want of memory",
        "MemoryError: Unable to allocate 3 GiB",
        "terminate called after throwing an instance of 'std::bad_alloc'",
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes",
    ],
)
def test_no_share_of_a_gpu_changes_the_hosts_memory(line: str) -> None:
    assert get_engine("vllm").diagnose(1, line).failure is Failure.OUT_OF_MEMORY_AT_START
    assert less(study("vllm"), {}, line) is None


@pytest.mark.parametrize(
    "line",
    [
        NO_MEMORY,
        "ValueError: Free memory on device (70/80 GiB) on startup is less than desired GPU memory utilization (0.92)",
        "RuntimeError: CUDA error: out of memory",
    ],
)
def test_what_a_gpu_lacked_is_helped_by_less(line: str) -> None:
    assert get_engine("vllm").diagnose(1, line).failure is Failure.OUT_OF_MEMORY_AT_START
    assert less(study("vllm"), {"gpu-memory-utilization": 0.9}, line) == {"gpu-memory-utilization": 0.85}
