"""A log's innermost exception is told where no known words are, and never that another process failed."""

from __future__ import annotations

import pytest

from autotuner.engines import get_engine
from autotuner.engines.logs.root_cause import root_cause
from autotuner.errors import Failure

INFRASTRUCTURE, INVALID, CRASH = Failure.INFRASTRUCTURE, Failure.INVALID_CONFIG, Failure.CRASH
NO_MEMORY = Failure.OUT_OF_MEMORY_AT_START

# A dead engine core as vLLM tells it: its own traceback twice, then the API server's (vllm/v1/engine/core.py).
VLLM = """(APIServer pid=77) INFO 10-02 09:10:58 [api_server.py:1500] starting
(EngineCore pid=411) ERROR 10-02 09:11:01 [core.py:1330] EngineCore failed to start.
(EngineCore pid=411) ERROR 10-02 09:11:02 [core.py:1330] Traceback (most recent call last):
(EngineCore pid=411) ERROR 10-02 09:11:02 [core.py:1330]   File "/opt/v/core.py", line 1299, in run_engine_core
(EngineCore pid=411) ERROR 10-02 09:11:03 [core.py:1330] {said}
(EngineCore pid=411) Process EngineCore:
(EngineCore pid=411) Traceback (most recent call last):
(EngineCore pid=411)   File "/opt/v/core.py", line 1299, in run_engine_core
(EngineCore pid=411) {said}
(APIServer pid=77) Traceback (most recent call last):
(APIServer pid=77)   File "/opt/v/serve.py", line 60, in main
(APIServer pid=77) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {{}}
/usr/lib/python3.12/multiprocessing/resource_tracker.py:254: UserWarning: There appear to be 1 leaked semaphore objects
"""
# sglang/srt/managers/scheduler.py, run_scheduler_process; sglang/srt/entrypoints/engine.py
SGLANG = """[2026-10-02 04:12:31 TP0] Load weight begin.
[2026-10-02 04:12:40 TP0] Scheduler hit an exception: Traceback (most recent call last):
  File "/opt/s/scheduler.py", line 3000, in run_scheduler_process
    scheduler = Scheduler(
{said}

[2026-10-02 04:12:41] Received sigquit from a child process. It usually means the child failed.
"""
# tensorrt_llm/executor/worker.py and proxy.py
TRTLLM = """[10/02/2026-09:11:02] [TRT-LLM] [RANK 0] [E] Failed to initialize executor on rank 0
[10/02/2026-09:11:02] [TRT-LLM] [RANK 0] [E] Traceback (most recent call last):
  File "/opt/t/worker.py", line 849, in worker_main
    worker: GenerationExecutorWorker = worker_cls(
{said}

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/opt/t/proxy.py", line 340, in _start_executor_workers
RuntimeError: Executor worker returned error
"""
LLAMACPP = """0.00.100.000 I srv    load_model: loading model
{said}
0.02.100.001 E srv    load_model: failed to load model, '/m/a.gguf'
"""
LOGS = {"vllm": VLLM, "sglang": SGLANG, "trtllm": TRTLLM}

NODE = (
    "RuntimeError: CUDA unknown error - this may be due to an incorrectly set up environment, e.g. changing env",
    "RuntimeError: Unexpected error from cudaGetDeviceCount(). Error 802: system not yet initialized",
    "RuntimeError: CUDA error: unknown error",
    "torch.AcceleratorError: CUDA error: CUDA-capable device(s) is/are busy or unavailable",
    "pynvml.NVMLError_LibRmVersionMismatch: Driver/library version mismatch",
    "OSError: [Errno 122] Disk quota exceeded: '/home/u/.cache/vllm/torch_compile_cache/ab12'",
    "OSError: [Errno 24] Too many open files: '/models/a/model-00001.safetensors'",
    "OSError: [Errno 5] Input/output error",
    "OSError: [Errno 116] Stale file handle: '/nfs/models'",
    "OSError: [Errno 30] Read-only file system: '/root/.triton'",
    "RuntimeError: Could not find nvcc and default cuda_home='/usr/local/cuda' doesn't exist",
    "FileNotFoundError: [Errno 2] No such file or directory: '/usr/local/cuda/bin/nvcc'",
    "OSError: CUDA_HOME environment variable is not set. Please set it to your CUDA install root.",
    "RuntimeError: Failed to find C compiler. Please specify via CC environment variable",
    "ImportError: libcuda.so.1: cannot open shared object file: No such file or directory",
    "AssertionError: libcuda.so cannot found!",
    "llama-server: error while loading shared libraries: libcudart.so.12: cannot open shared object file: No such file",
)


@pytest.mark.parametrize("engine", sorted(LOGS))
@pytest.mark.parametrize("said", NODE)
def test_what_the_node_lacks_is_no_fault_of_a_config(engine: str, said: str) -> None:
    report = get_engine(engine).diagnose(1, LOGS[engine].format(said=said))
    assert report.failure is INFRASTRUCTURE
    assert said in report.message


LACKS_NOTHING = (
    "2026-10-02 09:11:03.1: W tsl/dso_loader.cc:64] Could not load library 'libnvinfer.so.7'; "
    "dlerror: libnvinfer.so.7: cannot open shared object file: No such file or directory",
    "/opt/torch/cuda/__init__.py:129: UserWarning: Can't initialize NVML\n  warnings.warn(\"Can't initialize NVML\")",
)


@pytest.mark.parametrize("engine", sorted(LOGS))
@pytest.mark.parametrize("said", LACKS_NOTHING)
def test_what_a_library_did_without_is_no_reason(engine: str, said: str) -> None:
    log = f"{said}\n{LOGS[engine].format(said='KeyError: 4')}"
    report = get_engine(engine).diagnose(1, log)
    assert (report.failure, report.message) == (CRASH, "the server ended with exit code 1: KeyError: 4")


@pytest.mark.parametrize("said", [*NODE, "CUDA error: unknown error"])
def test_nor_on_llamacpp(said: str) -> None:
    report = get_engine("llamacpp").diagnose(1, LLAMACPP.format(said=said))
    assert (report.failure, report.message) == (INFRASTRUCTURE, said)


@pytest.mark.parametrize("engine", sorted(LOGS))
@pytest.mark.parametrize(
    ("said", "failure"),
    [
        ("ValueError: Hybrid KV cache manager is disabled but failed to convert the KV cache specs", INVALID),
        ("pydantic_core.ValidationError: the names differ", INVALID),
        ("torch.AcceleratorError: CUDA error: an illegal memory access was encountered", CRASH),
        ("Exception: Capture cuda graph failed: Triton Error [CUDA]: an illegal memory access was encountered", CRASH),
        ("KeyError: 'layers.0.mlp.experts.w2_weight'", CRASH),
        ("torch._dynamo.exc.Unsupported: call_function BuiltinVariable(id)", CRASH),
    ],
)
def test_an_unknown_cause_is_told_in_its_own_line(engine: str, said: str, failure: Failure) -> None:
    report = get_engine(engine).diagnose(1, LOGS[engine].format(said=said))
    assert report.failure is failure
    assert report.message.endswith(said)


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        (
            "ggml_vulkan: Requested buffer size exceeds device memory allocation limit: ErrorOutOfDeviceMemory",
            NO_MEMORY,
        ),
        ("ggml_vulkan: Device memory allocation of size 3959422976 failed.", NO_MEMORY),
        ("what():  vk::Device::allocateMemory: ErrorOutOfHostMemory", NO_MEMORY),
        ("CUDA error: the resource allocation failed", NO_MEMORY),
        ("ROCm error: out of memory", NO_MEMORY),
        ("CUDA error: no kernel image is available for execution on the device", CRASH),
        ("CUDA error: an illegal memory access was encountered", CRASH),
        ("CUDA error: an unsupported value or parameter was passed to the function", CRASH),
        ("/src/ggml/src/ggml-cuda/fattn.cu:352: GGML_ASSERT(max_blocks_per_sm > 0) failed", CRASH),
        ("what():  vk::Queue::submit: ErrorDeviceLost", CRASH),
        ("pre-allocated tensor (blk.0) in a buffer (CUDA0) that cannot run the operation (NONE)", CRASH),
        ("ggml_metal_op_encode_impl: error: unsupported op 'FLASH_ATTN_EXT'", INVALID),
    ],
)
def test_kernels_and_memory_of_llamacpp_are_the_configs(said: str, failure: Failure) -> None:
    report = get_engine("llamacpp").diagnose(-6, LLAMACPP.format(said=said))
    assert (report.failure, report.message) == (failure, said)


def _cause(text: str) -> str:
    found = root_cause(text.splitlines())
    return "" if found is None else found.message


def test_of_a_chain_the_first_is_told() -> None:
    chain = (
        "Traceback (most recent call last):\n  File \"a.py\", line 1, in a\nKeyError: 'q'\n\n{link}\n\n"
        'Traceback (most recent call last):\n  File "a.py", line 2, in b\nRuntimeError: no such layer\n'
    )
    cause = "The above exception was the direct cause of the following exception:"
    meanwhile = "During handling of the above exception, another exception occurred:"
    assert _cause(chain.format(link=cause)) == "KeyError: 'q'"
    assert _cause(chain.format(link=meanwhile)) == "KeyError: 'q' (then RuntimeError: no such layer)"


def test_processes_that_speak_at_once_are_kept_apart() -> None:
    log = """(Worker_TP0 pid=1) Traceback (most recent call last):
(Worker_TP1 pid=2) Traceback (most recent call last):
(Worker_TP0 pid=1)   File "w.py", line 3, in load
(Worker_TP1 pid=2)   File "w.py", line 3, in load
(Worker_TP0 pid=1)     assert width % group == 0
(Worker_TP1 pid=2) RuntimeError: [pair.cc:534] Connection closed by peer [127.0.0.1]:9
(Worker_TP0 pid=1)            ^^^^^^^^^^^^^^^^^^
(Worker_TP0 pid=1) AssertionError
"""
    assert _cause(log) == "AssertionError: assert width % group == 0"


def test_what_goes_wrong_at_the_end_hides_no_cause() -> None:
    log = """Traceback (most recent call last):
  File "a.py", line 1, in a
RuntimeError: shape mismatch
Exception ignored in: <function Pool.__del__ at 0x7f>
Traceback (most recent call last):
  File "pool.py", line 1, in __del__
TypeError: 'NoneType' object is not callable
"""
    assert _cause(log) == "RuntimeError: shape mismatch"


def test_a_message_of_several_lines_and_a_group_are_read() -> None:
    assert _cause("torch.X.BackendError:\n  the queue is gone\ncode: -3\n") == (
        "torch.X.BackendError: the queue is gone code: -3"
    )
    group = """  + Exception Group Traceback (most recent call last):
  |   File "a.py", line 1, in a
  | ExceptionGroup: unhandled errors in a TaskGroup (1 sub-exception)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "a.py", line 2, in b
    | LookupError: no lane
    +------------------------------------
"""
    assert _cause(group) == "LookupError: no lane"


def test_programs_without_exceptions_of_python_tell_theirs() -> None:
    assert _cause("terminate called after throwing an instance of 'c10::Error'\n  what():  bad stride\n") == (
        "c10::Error: bad stride"
    )
    assert _cause('Fatal Python error: Segmentation fault\n\nThread 0x7f:\n  File "a.py", line 1 in b\n') == (
        "Fatal Python error: Segmentation fault"
    )
    assert _cause("0.00.1 I srv: listening\nlast words: none\n") == ""


def test_what_only_points_elsewhere_is_told_where_nothing_else_is() -> None:
    said = "RuntimeError: Engine core initialization failed. See root cause above."
    assert get_engine("vllm").diagnose(1, f"(APIServer pid=7) {said}\n").message.endswith(said)
