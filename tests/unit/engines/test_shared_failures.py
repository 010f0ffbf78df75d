"""What servers of several engines say in the words of the libraries beneath them is judged alike."""

from __future__ import annotations

from pathlib import Path

import pytest

from autotuner.engines import get_engine
from autotuner.engines.logs.log_pattern import KILLED_BY_KERNEL
from autotuner.errors import Failure

LOGS = Path(__file__).parent / "engine_logs" / "shared"
INFRASTRUCTURE, INVALID = Failure.INFRASTRUCTURE, Failure.INVALID_CONFIG
NO_MEMORY = Failure.OUT_OF_MEMORY_AT_START
FAILURES = {
    "disk_full": (INFRASTRUCTURE, "No space left"),
    "hub_busy": (INFRASTRUCTURE, "429 Too Many Requests"),
    "hub_busy_at_start_of_snapshot": (INFRASTRUCTURE, "'api' rate limit"),
    "hub_busy_older": (INFRASTRUCTURE, "429 Client Error"),
    "hub_in_trouble": (INFRASTRUCTURE, "503 Service Unavailable"),
    "hub_in_trouble_older": (INFRASTRUCTURE, "503 Server Error"),
    "hub_not_reached": (INFRASTRUCTURE, "trying to locate the file on the Hub"),
    "hub_offline": (INVALID, "outgoing traffic has been disabled"),
    "hub_refuses": (INVALID, "403 Forbidden"),
    "triton_no_memory": (NO_MEMORY, "Triton Error"),
}
RETRIED = (
    "Error retrieving file list: Server error '503 Service Unavailable' for url 'https://hub/a', retrying 1 of 2",
    "Error retrieving file list: We couldn't connect to 'https://hub' to load the files, retrying 1 of 2",
)


def test_every_kept_log_is_judged() -> None:
    assert {path.stem for path in LOGS.glob("*.log")} == set(FAILURES)


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm"])
@pytest.mark.parametrize("name", sorted(FAILURES))
def test_failures_are_told_apart(engine: str, name: str) -> None:
    failure, said = FAILURES[name]
    source, _, log = (LOGS / f"{name}.log").read_text(encoding="utf-8").partition("\n")
    assert source.startswith("# source: ")
    report = get_engine(engine).diagnose(1, log)
    assert report.failure is failure
    assert said in report.message


@pytest.mark.parametrize("said", RETRIED)
def test_what_is_tried_again_is_no_end(said: str) -> None:
    """vllm 0.32.0, transformers_utils/repo_utils.py, with_retry, which logs it as an error."""
    log = f"(APIServer pid=1) ERROR 11-21 03:07:30 [repo_utils.py:126] {said}\n"
    assert get_engine("vllm").diagnose(-11, log).failure is Failure.CRASH
    assert get_engine("vllm").diagnose(1, f"{log}torch.OutOfMemoryError: CUDA out of memory.").failure is NO_MEMORY


def test_a_full_disk_is_no_fault_of_a_config_on_llamacpp() -> None:
    log = "0.00.003.814 E srv: error loading model: No space left on device"
    assert get_engine("llamacpp").diagnose(1, log).failure is INFRASTRUCTURE


CONTAINERS = {
    "autotuner: the container was killed at its memory limit of 1024 bytes": NO_MEMORY,
    KILLED_BY_KERNEL: NO_MEMORY,
    "[FATAL tini (7)] exec vllm failed: No such file or directory": INVALID,
}


@pytest.mark.parametrize("engine", ["vllm", "sglang", "trtllm", "llamacpp"])
@pytest.mark.parametrize("said", CONTAINERS)
def test_what_is_said_of_a_container_comes_before_what_its_server_said(engine: str, said: str) -> None:
    """The first line is servers/docker/rank.py's, the second of tini 0.19.0, src/tini.c, spawn_process."""
    log = f"RuntimeError: CUDA error: an illegal memory access\nNo space left on device\n{said}\n"
    report = get_engine(engine).diagnose(137, log)
    assert report.failure is CONTAINERS[said]
    assert report.message == said
