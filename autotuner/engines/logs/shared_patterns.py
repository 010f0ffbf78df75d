"""What engines' servers say in the same words, those of the libraries beneath them. Groups to put in order."""

from __future__ import annotations

from autotuner.engines.logs.log_pattern import LogPattern
from autotuner.errors import Failure

_INFRASTRUCTURE, _INVALID = Failure.INFRASTRUCTURE, Failure.INVALID_CONFIG
_NO_MEMORY = Failure.OUT_OF_MEMORY_AT_START

# Of the driver and the devices, none of which a Config chooses (cudaGetErrorString, hipGetErrorString; PyTorch's
# c10/cuda/CUDAFunctions.cpp; NVML).
_DRIVER = (
    r"No CUDA GPUs are available|[Nn]o (CUDA|ROCm)-capable device|driver version is insuff|driver is a stub library|"
    r"[Ff]ound no NVIDIA driver|Unexpected error from \w+GetDeviceCount|NVMLError|Failed to initialize NVML: |"
    r"Driver/library version mismatch"
)
_DEVICE = (
    r"CUDA unknown error|(?i:(cuda|rocm|hip) (runtime )?(error|failure):? '?)"
    r"(unknown error|OS call failed|all CUDA-capable devices are busy)|"
    r"system not yet initialized|unsupported display driver|forward compatibility was attempted|"
    r"CUDA-capable device\(s\) is/are busy|devices are busy or unavailable|\bMPS (client|server|control)|"
    r"uncorrectable (ECC|NVLink)|GPU is lost|fallen off the bus|GPU requires reset"
)
# What the node's installation lacks: shared libraries, CUDA's tools, a compiler for kernels that are built at a start.
_INSTALLATION = (
    r"(Error: |shared libraries: )\S+\.so[\d.]*: cannot open shared object file|libcuda\.so (cannot|not) found|"
    r"[Cc]ould not find nvcc|nvcc.?: (command )?not found|No such file or directory:? .*\bnvcc\b|"
    r"\bCUDA_HOME (environment variable is not set|is not set)|Failed to find (C|CUDA) compiler|"
    r"Ninja is required to load|No such file or directory:? '?(ninja|gcc|g\+\+|cc|c\+\+|ptxas|ld)\b"
)
# strerror's words for what a disk, a network file system or a limit of processes does.
_SYSTEM = (
    r"No space left on device|Disk quota exceeded|Too many open files|Input/output error|Remote I/O error|"
    r"Read-only file system|Stale (NFS )?file handle|Structure needs cleaning|Transport endpoint is not connected"
)

# The node: a port, a GPU, a library or a disk that it does not have to give.
NODE = (
    LogPattern(r"(?i)address already in use|EADDRINUSE", _INFRASTRUCTURE),
    LogPattern(_DRIVER, _INFRASTRUCTURE),
    LogPattern(_DEVICE, _INFRASTRUCTURE),
    LogPattern(_INSTALLATION, _INFRASTRUCTURE),
    LogPattern(_SYSTEM, _INFRASTRUCTURE),
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
