"""All engines: what explains a server's end is found among lines that explain nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotuner.engines import get_engine
from autotuner.errors import Failure

LOGS = Path(__file__).parent / "engine_logs"
EXCERPTS = sorted(path.relative_to(LOGS).as_posix() for path in LOGS.glob("*/*.log") if path.parent.name != "shared")

# How an engine's processes start a line that is no error; {} is what it says.
ANYBODY = (
    "INFO:     {}",
    "WARNING:root:{}",
    "/usr/lib/python3.11/multiprocessing/resource_tracker.py:254: UserWarning: {}",
    "<frozen importlib._bootstrap_external>:1301: FutureWarning: {}",
    "[W1012 22:31:22.267261276 socket.cpp:436] {}",
    "[rank3]:[W304 12:54:52.122900428 ProcessGroupNCCL.cpp:616] {}",
    "[W socket.cpp:436] {}",
    "02fdc141b80d:213:213 [1] NCCL INFO {}",
)
ASIDES = {
    "vllm": (
        *ANYBODY,
        "INFO 04-09 05:39:54 [core.py:390] {}",
        "(VllmWorkerProcess pid=3106) WARNING 10-12 22:31:22 shm_broadcast.py:396] {}",
        "(VllmWorker rank=1 pid=2445156) DEBUG 05-10 16:00:15 [multiproc_executor.py:470] {}",
        "(EngineCore_DP0 pid=223840) (Worker_TP4_EP4 pid=2532) WARNING 12-29 15:21:11 [cuda.py:9] {}",
        '(APIServer pid=1) INFO:     172.17.0.1:56844 - "{}" 200 OK',
    ),
    "sglang": (*ANYBODY, "[2025-04-17 16:15:33 TP0] {}", "[2025-04-17 16:15:33.120 DP4 TP4] {}"),
    "trtllm": (
        *ANYBODY,
        "[TRT-LLM] [I] {}",
        "[09/17/2025-21:24:19] [TRT-LLM] [RANK 2] [W] {}",
        "[TensorRT-LLM][WARNING] {}",
        "[TensorRT-LLM][INFO] {}",
        "2026-01-02 03:04:05.678 [TRT-LLM] [D] [0] {}",
    ),
    "llamacpp": ("0.00.005.949 W llama_context: {}", "1.02.094.516 I srv          init: {}", "0.48.964.686 D {}"),
}
# Each, said as an error, is the reason of some engine's end.
REASONS = (
    "RuntimeError: FlashInfer is not supported here, falling back",
    "ValueError: block size must be divisible by 16",
    "NotImplementedError: no such kernel",
    "CUDA out of memory. Tried to allocate 350.00 MiB.",
    "OutOfMemoryError: the profile run was repeated",
    "failed to allocate, std::bad_alloc",
    "Address already in use",
    "No space left on device",
    "NCCL error: ncclSystemError, trying again",
    "DistNetworkError: timed out while trying to connect",
    "429 Too Many Requests for url: https://huggingface.co/api/models/a/b",
    "An error happened while trying to locate the file on the Hub",
    "We couldn't connect to 'https://huggingface.co' to load this file",
    "KV cache type requires flash_attn, unsupported",
)


def asides(engine: str) -> st.SearchStrategy[str]:
    return st.builds(str.format, st.sampled_from(ASIDES[engine]), st.sampled_from(REASONS))


@pytest.mark.parametrize("excerpt", EXCERPTS)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_asides_around_and_between_change_no_verdict(excerpt: str, data: st.DataObject) -> None:
    name = excerpt.partition("/")[0]
    engine = get_engine(name)
    lines = (LOGS / excerpt).read_text(encoding="utf-8").splitlines()[1:]
    alone = engine.diagnose(1, "\n".join(lines))
    noisy = list(lines)
    for line in data.draw(st.lists(asides(name), min_size=1, max_size=6)):
        noisy.insert(data.draw(st.integers(0, len(noisy))), line)
    among = engine.diagnose(1, "\n".join(noisy))
    assert among.failure is alone.failure
    if alone.failure is not Failure.CRASH:  # which is told with the log's last words, whatever they are
        assert among.message == alone.message


@pytest.mark.parametrize("engine", sorted(ASIDES))
@pytest.mark.parametrize("reason", REASONS)
def test_a_warning_before_a_segmentation_fault_is_not_its_reason(engine: str, reason: str) -> None:
    for aside in ASIDES[engine]:
        assert get_engine(engine).diagnose(-11, aside.format(reason)).failure is Failure.CRASH, aside


@pytest.mark.parametrize(
    ("engine", "line", "failure"),
    [
        ("vllm", "(EngineCore pid=1) ERROR 11-21 03:07:30 [core.py:9] {}", Failure.INVALID_CONFIG),
        ("vllm", "(APIServer pid=1) {}", Failure.INVALID_CONFIG),
        ("sglang", "[rank0]: {}", Failure.INVALID_CONFIG),
        ("trtllm", "[09/17/2025-21:24:19] [TRT-LLM] [RANK 2] [E] {}", Failure.INVALID_CONFIG),
        ("trtllm", "{} [TRT-LLM] [W]", Failure.INVALID_CONFIG),
        ("llamacpp", "0.00.005.949 E llama_init: {}", Failure.INVALID_CONFIG),
    ],
)
def test_the_same_words_said_as_an_error_are(engine: str, line: str, failure: Failure) -> None:
    log = line.format("NotImplementedError: the kernel is not supported")
    assert get_engine(engine).diagnose(1, log).failure is failure
