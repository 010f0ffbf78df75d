"""NVIDIA's management library, where nvidia-ml-py and a driver are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import Any

_MODULE = "pynvml"


def load_nvml() -> Any:
    """The binding, initialised: ``nvmlShutdown`` must be called. ``None`` without a driver or the binding."""
    if find_spec(_MODULE) is None:
        return None
    nvml = import_module(_MODULE)
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return None
    return nvml


def gpu_handle(nvml: Any, gpu_id: str) -> Any:
    """The GPU of an index or UUID. Raises NVMLError for one that is not there."""
    if gpu_id.isdigit():
        return nvml.nvmlDeviceGetHandleByIndex(int(gpu_id))
    return nvml.nvmlDeviceGetHandleByUUID(gpu_id)


@contextlib.contextmanager
def open_nvml() -> Iterator[Any]:
    """``load_nvml`` for the length of a context."""
    nvml = load_nvml()
    try:
        yield nvml
    finally:
        if nvml is not None:
            with contextlib.suppress(nvml.NVMLError):
                nvml.nvmlShutdown()
