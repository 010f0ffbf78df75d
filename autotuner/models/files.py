"""Where a model's files are on this machine, and what the weights' own headers say."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from autotuner.models.config_json import refuse
from autotuner.models.facts import ModelFacts
from autotuner.strict.paths import absolute

_INDEX = "model.safetensors.index.json"
_MODEL_SUFFIXES = (".gguf", ".safetensors", ".bin", ".pt")
_LARGEST_HEADER_BYTES = 100_000_000  # safetensors' own limit
_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def is_local_model(model_id: str, folder: Path) -> bool:
    """Whether a model's id is a path: by how it looks, or because there is such a file."""
    if model_id.startswith((".", "/", "~")) or model_id.lower().endswith(_MODEL_SUFFIXES):
        return True
    return (folder / model_id).exists()


def find_model(model_id: str, folder: Path) -> Path | None:
    """A .gguf file, or a folder that has a config.json."""
    local = Path(absolute(model_id, folder))
    if local.suffix.lower() == ".gguf":
        return local if local.is_file() else None
    for place in (local, _cached(model_id)):
        if place is not None and (place / "config.json").is_file():
            return place
    return None


def read_json(file: Path) -> Any:
    """Raises StudyError with the key ``model.id``."""
    try:
        return json.loads(file.read_text(encoding="utf-8-sig"))
    except OSError as error:
        refuse(str(file), error.strerror, "a file that can be read")
    except (ValueError, RecursionError) as error:
        refuse(str(file), " ".join(str(error).split()), "JSON")


def with_weights(facts: ModelFacts, folder: Path) -> ModelFacts:
    """The facts with size and parameters of the safetensors files, as far as these are there and sound."""
    size, parameters = _indexed(folder) or _headers(folder) or (None, None)
    if facts.weight_format is not None:
        parameters = None  # packed tensors hold several weights in one number
    elif parameters is None and size is not None and facts.dtype in _DTYPE_BYTES:
        parameters = size // _DTYPE_BYTES[facts.dtype]
    return replace(facts, weight_bytes=size, exact_parameters=parameters)


def _cached(model_id: str) -> Path | None:
    """The snapshot that the hub's cache has for an id: what ``refs/main`` names, or the only one there is."""
    if model_id.count("/") != 1 or any(part in ("", ".", "..") for part in model_id.split("/")):
        return None
    place = _hub_cache() / f"models--{model_id.replace('/', '--')}"
    try:
        revision = (place / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        snapshots = sorted(folder for folder in (place / "snapshots").glob("*") if folder.is_dir())
        return snapshots[0] if len(snapshots) == 1 else None
    return place / "snapshots" / revision


def _hub_cache() -> Path:
    """As huggingface_hub/constants.py finds it."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(name):
            return Path(os.environ[name]).expanduser()
    if os.environ.get("HF_HOME"):
        return Path(os.environ["HF_HOME"]).expanduser() / "hub"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return cache / "huggingface" / "hub"


def _indexed(folder: Path) -> tuple[int, int | None] | None:
    """Bytes and, where the index says so, parameters."""
    try:
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError):
        return None
    metadata = index.get("metadata") if isinstance(index, Mapping) else None
    if not isinstance(metadata, Mapping):
        return None
    size, parameters = metadata.get("total_size"), metadata.get("total_parameters")
    if not isinstance(size, int | float) or size <= 0:
        return None
    return int(size), parameters if isinstance(parameters, int) and parameters > 0 else None


def _headers(folder: Path) -> tuple[int, int] | None:
    """Bytes and numbers in all tensors, by the files' headers; ``None`` where one can't be read."""
    files = sorted(folder.glob("model*.safetensors")) or sorted(folder.glob("*.safetensors"))
    size = numbers = 0
    for file in files:
        header = _header(file)
        if header is None:
            return None
        for tensor in _tensors(header):
            size += tensor[1]
            numbers += tensor[0]
    return (size, numbers) if numbers else None


def _tensors(header: Mapping[str, Any]) -> Iterator[tuple[int, int]]:
    for name, tensor in header.items():
        if name != "__metadata__":
            first, last = tensor["data_offsets"]
            yield math.prod(tensor["shape"]), last - first


def _header(file: Path) -> dict[str, Any] | None:
    """Format: 8 bytes of length, little-endian, then that many bytes of JSON (safetensors' README)."""
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if not 2 <= length <= _LARGEST_HEADER_BYTES:
                return None
            found: dict[str, Any] = json.loads(stream.read(length))
        for name, tensor in found.items():
            if name != "__metadata__" and not {"shape", "data_offsets"} <= set(tensor):
                return None
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    return found
