"""SGLang: what a server's last words say about why it failed. Each log names its source in its first line."""

from __future__ import annotations

from pathlib import Path

import pytest

from autotuner.engines import get_engine
from autotuner.errors import Failure

ENGINE = get_engine("sglang")
LOGS = Path(__file__).parent / "engine_logs" / "sglang"

OUT_OF_MEMORY, INVALID = Failure.OUT_OF_MEMORY_AT_START, Failure.INVALID_CONFIG
FAILURES = {
    "blocks_that_tp_cuts": (INVALID, "not divisible"),
    "chunks_of_broken_pages": (INVALID, "page_size"),
    "crash_in_a_kernel": (Failure.CRASH, "exit code 1"),
    "flags_that_exclude_each_other": (INVALID, "mutually exclusive"),
    "gpus_unbalanced": (Failure.INFRASTRUCTURE, "occupied by other processes"),
    "hub_not_reached": (Failure.INFRASTRUCTURE, "couldn't connect"),
    "memory_then_nccl": (OUT_OF_MEMORY, "448.00 MiB"),
    "missing_folder": (INVALID, "HFValidationError"),
    "missing_on_hub": (INVALID, "not a local folder"),
    "nccl_error": (Failure.INFRASTRUCTURE, "unhandled system error"),
    "nccl_timeout": (Failure.HANG, "collective operation timeout"),
    "no_memory_for_graphs": (OUT_OF_MEMORY, "Capture cuda graph failed"),
    "no_memory_for_weights": (OUT_OF_MEMORY, "132.00 MiB"),
    "no_memory_under_load": (OUT_OF_MEMORY, "616.00 MiB"),
    "no_pages_under_load": (OUT_OF_MEMORY, "Decode out of memory"),
    "no_request_slots": (OUT_OF_MEMORY, "--max-running-requests"),
    "no_room_for_kv_cache": (OUT_OF_MEMORY, "--mem-fraction-static"),
    "no_room_for_kv_cache_0_5_23": (OUT_OF_MEMORY, "--mem-fraction-static"),
    "port_not_available": (Failure.INFRASTRUCTURE, "20000"),
    "port_of_ranks_taken": (Failure.INFRASTRUCTURE, "EADDRINUSE"),
    "port_taken": (Failure.INFRASTRUCTURE, "44319"),
    "requests_put_back": (Failure.CRASH, "exit code 1"),  # of something else: that much does not end a server
    "scheduler_hangs": (Failure.HANG, "Watchdog timeout"),
    "scheduler_hangs_0_5_23": (Failure.HANG, "watchdog timeout"),
    "unknown_flag": (INVALID, "--max-num-seqs"),
    "unknown_flag_older": (INVALID, "--reasoning_parser"),
    "unknown_value": (INVALID, "--kv-cache-dtype"),
    "unsupported_architecture": (INVALID, "Glm4ForCausalLM"),
}


def test_every_kept_log_is_judged() -> None:
    assert {path.stem for path in LOGS.glob("*.log")} == set(FAILURES)
    assert all(path.read_text().startswith("# source: ") for path in LOGS.glob("*.log"))


@pytest.mark.parametrize("name", sorted(FAILURES))
def test_failures_are_told_apart(name: str) -> None:
    failure, said = FAILURES[name]
    source, _, log = (LOGS / f"{name}.log").read_text().partition("\n")
    assert source
    report = ENGINE.diagnose(1, log)
    assert report.failure is failure
    assert said in report.message


def test_a_server_that_puts_requests_back_lives_on() -> None:
    assert ENGINE.diagnose(None, (LOGS / "requests_put_back.log").read_text()).failure is Failure.HANG
