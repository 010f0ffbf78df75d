"""What engines' servers say in the same words, those of the libraries beneath them. Groups to put in order."""

from __future__ import annotations

from autotuner.engines.log_pattern import LogPattern
from autotuner.errors import Failure

_INFRASTRUCTURE, _INVALID = Failure.INFRASTRUCTURE, Failure.INVALID_CONFIG
_NO_MEMORY = Failure.OUT_OF_MEMORY_AT_START

# The node: a port, a GPU or a disk that it does not have to give.
NODE = (
    LogPattern(r"(?i)address already in use|EADDRINUSE", _INFRASTRUCTURE),
    LogPattern(r"uncorrectable ECC|GPU is lost|fallen off the bus", _INFRASTRUCTURE),
    LogPattern(r"No CUDA GPUs are available|no CUDA-capable device|driver version is insuff", _INFRASTRUCTURE),
    LogPattern(r"No space left on device", _INFRASTRUCTURE),
)

# PyTorch, cuBLAS, CUDA, and Triton (triton/backends/nvidia/driver.c) without memory on a GPU.
GPU_MEMORY = (
    LogPattern(r"(?i)\b(cuda|hip|xpu|npu) out of memory|\bOutOfMemoryError\b", _NO_MEMORY),
    LogPattern(r"(?i)\b(cuda|hip) (runtime )?(error|failure):? '?out of memory", _NO_MEMORY),
    LogPattern(r"Triton Error \[\w+\]: out of memory|CUBLAS_STATUS_ALLOC_FAILED", _NO_MEMORY),
)

# The hub of models: first what it answered, then that it did not (huggingface_hub/file_download.py,
# _snapshot_download.py, utils/_http.py; transformers/utils/hub.py). Offline, transformers says "couldn't connect" too.
_LAST_TRY = r"^(?!.*\bretrying\b).*"
HUB = (
    LogPattern(r"(RepositoryNotFound|RevisionNotFound|GatedRepo|DisabledRepo|HFValidation)Error:", _INVALID),
    LogPattern(r"not a valid model identifier|does not appear to have a file named", _INVALID),
    LogPattern(r"\b403 Forbidden: |\b403 Client Error: ", _INVALID),
    LogPattern(_LAST_TRY + r"\b429 (Client Error: )?Too Many Requests('? for url|: )", _INFRASTRUCTURE),
    LogPattern(_LAST_TRY + r"(\b5\d\d Server Error: .*|Server error '5\d\d .*) for url", _INFRASTRUCTURE),
    LogPattern(_LAST_TRY + r"An error happened while trying to locate the files? on the Hub", _INFRASTRUCTURE),
    LogPattern(r"outgoing traffic has been disabled", _INVALID),
    LogPattern(_LAST_TRY + r"couldn't connect to 'https?://", _INFRASTRUCTURE),
    LogPattern(r"\bLocalEntryNotFoundError:", _INVALID),
)

# What ranks say of one that they lost, and why so late: the cause may be another's lack of memory.
RANKS = (
    LogPattern(r"NCCL [Ee]rror(?!: \{)|nccl(System|Remote|Internal|UnhandledCuda)Error", _INFRASTRUCTURE),
    LogPattern(r"DistStoreError|DistNetworkError", _INFRASTRUCTURE),
)
