"""What servers compile for a GPU, kept on the node for the next container of the same image."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from autotuner.engines.deployment import Mount
from autotuner.servers.machine.user_cache import user_cache

_INSIDE = "/autotuner-compiled"
# Whose cache each names: vLLM's (with what PyTorch compiles for it), SGLang's, PyTorch's compiler, Triton, FlashInfer,
# the driver's own of kernels that are not built for the GPU. All of them name what they keep by what it was made from.
_VARIABLES = {
    "VLLM_CACHE_ROOT": "vllm",
    "SGLANG_CACHE_DIR": "sglang",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "TRITON_CACHE_DIR": "triton",
    "FLASHINFER_WORKSPACE_BASE": "flashinfer",
    "CUDA_CACHE_PATH": "cuda",
}


def compile_cache(image: str) -> Mount:
    """The node's folder for an image, made where it is not there; whoever a container runs as may write there.

    The folder above it is this user's alone, so that nobody else on the node gets at it.
    """
    folder = user_cache() / "compiled" / re.sub(r"[^A-Za-z0-9._-]+", "-", image)
    folder.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
    folder.mkdir(exist_ok=True)
    _open_to_all(folder)
    return Mount(str(folder), _INSIDE, read_only=False)


def cache_variables() -> Mapping[str, str]:
    """Where a container finds it."""
    return {name: f"{_INSIDE}/{folder}" for name, folder in _VARIABLES.items()}


def _open_to_all(folder: Path) -> None:
    if folder.stat().st_mode & 0o777 != 0o777:
        folder.chmod(0o777)
