"""TensorRT-LLM: what a server's last words say about why it failed. Each log names its source in its first line."""

from __future__ import annotations

from pathlib import Path

import pytest

from autotuner.engines import get_engine
from autotuner.errors import Failure

ENGINE = get_engine("trtllm")
LOGS = Path(__file__).parent / "engine_logs" / "trtllm"

OUT_OF_MEMORY = Failure.OUT_OF_MEMORY_AT_START
EXPECTED = {
    "no_room_for_kv_cache": (OUT_OF_MEMORY, "rank 1: Executor creation failed due to insufficient GPU memory"),
    "no_memory_for_executor": (OUT_OF_MEMORY, "insufficient GPU memory"),
    "no_memory_for_weights": (OUT_OF_MEMORY, "gate_up_proj"),
    "no_memory_for_activations": (OUT_OF_MEMORY, "135.00 GiB"),
    "no_memory_under_load": (OUT_OF_MEMORY, "cudaMallocAsync"),  # where it happened tells the two apart
    "memory_before_nccl": (OUT_OF_MEMORY, "insufficient GPU memory"),
    "port_taken": (Failure.INFRASTRUCTURE, "address already in use"),
    "port_taken_1_2": (Failure.INFRASTRUCTURE, "127.0.0.1:8000"),
    "nccl_error": (Failure.INFRASTRUCTURE, "ncclCommunicator.cpp"),
    "unknown_option": (Failure.INVALID_CONFIG, "No such option: --model"),
    "unknown_key": (Failure.INVALID_CONFIG, "invalid argument: disable_overlap_scheduler"),
    "unknown_key_inside": (Failure.INVALID_CONFIG, "Extra inputs are not permitted"),
    "unknown_architecture": (Failure.INVALID_CONFIG, "WhisperForConditionalGeneration"),
    "unsupported_architecture": (Failure.INVALID_CONFIG, "Qwen2_5_VLForConditionalGeneration"),
    "missing_model": (Failure.INVALID_CONFIG, "/models/none"),
    "kv_format_of_other_checkpoint": (Failure.INVALID_CONFIG, "override KV cache quantization"),
    "degrees_that_do_not_fit": (Failure.INVALID_CONFIG, "moe_tp_size"),
    "kernels_of_another_gpu": (Failure.INVALID_CONFIG, "only support Hopper"),
    "hang": (Failure.HANG, "rank 0"),
}


def test_every_log_is_expected_to_say_something() -> None:
    assert {file.stem for file in LOGS.glob("*.log")} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_failures_are_told_apart(name: str) -> None:
    source, _, log = (LOGS / f"{name}.log").read_text(encoding="utf-8").partition("\n")
    assert source.startswith("# source: ")
    report = ENGINE.diagnose(1, log)
    failure, said = EXPECTED[name]
    assert report.failure is failure
    assert said in report.message


@pytest.mark.parametrize(
    ("exit_code", "log", "failure"),
    [
        (-9, "[TRT-LLM] [I] Setting PyTorch max sequence length to 2000\n", Failure.CRASH),
        (0, "", Failure.CRASH),
        (None, "INFO:     Application startup complete.\n", Failure.HANG),
    ],
)
def test_a_log_that_names_no_reason(exit_code: int | None, log: str, failure: Failure) -> None:
    assert ENGINE.diagnose(exit_code, log).failure is failure
