"""Reads the header of a GGUF file: metadata and the tensors' shapes, never the weights.

Layout: docs/gguf.md of ggml-org/ggml, versions 2 and 3. The ``gguf`` package maps the whole file and builds arrays of
the vocabulary, which takes seconds; a header takes milliseconds.
"""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from autotuner.models.config_json import refuse
from autotuner.models.facts import ModelFacts, WeightFormat

_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_LONGEST_STRING_BYTES = 16_000_000
_MOST_ENTRIES = 10_000_000
# ggml.h, enum ggml_type
_TYPE_NAMES = (
    "f32 f16 q4_0 q4_1 - - q5_0 q5_1 q8_0 q8_1 q2_k q3_k q4_k q5_k q6_k q8_k iq2_xxs iq2_xs iq3_xxs iq1_s iq4_nl iq3_s "
    "iq2_s iq4_xs i8 i16 i32 i64 f64 iq1_m bf16 - - - tq1_0 tq2_0 - - - mxfp4 nvfp4 q1_0"
)
_TENSOR_TYPES = tuple(_TYPE_NAMES.split())


class _BadHeaderError(Exception):
    """Not a header that can be read; the text says why."""


def read_facts(file: Path) -> ModelFacts:
    """Raises StudyError with the key ``model.id``."""
    try:
        with file.open("rb") as stream:
            metadata, numbers_by_type = _read_header(stream)
    except OSError as error:
        refuse(str(file), error.strerror, "a file that can be read")
    except (_BadHeaderError, struct.error, UnicodeDecodeError) as error:
        refuse(str(file), str(error), "a GGUF file of version 2 or 3")
    return _facts(metadata, numbers_by_type, file)


def _facts(metadata: Mapping[str, Any], numbers_by_type: Counter[str], file: Path) -> ModelFacts:
    family = str(metadata.get("general.architecture") or "unknown")

    def count(name: str) -> int | None:
        """A number, or the largest of a list that has one for each layer."""
        value = metadata.get(f"{family}.{name}")
        value = max(value, default=None) if isinstance(value, list) else value
        return int(value) if isinstance(value, int) and value > 0 else None

    parts = _parts(file)
    total = sum(numbers_by_type.values()) if len(parts) == 1 else 0
    size = sum(part.stat().st_size for part in parts)
    kind = numbers_by_type.most_common(1)[0][0] if numbers_by_type else "unknown"
    heads, hidden, positions = count("attention.head_count"), count("embedding_length"), count("context_length")
    head_dim = count("attention.key_length") or (hidden // heads if hidden and heads else None)
    return ModelFacts(
        family=family,
        architecture=family,
        layers=count("block_count"),
        hidden_size=hidden,
        intermediate_size=count("feed_forward_length"),
        attention_heads=heads,
        kv_heads=count("attention.head_count_kv") or heads,
        head_dim=head_dim,
        vocabulary=count("vocab_size") or _length(metadata.get("tokenizer.ggml.tokens")),
        experts=count("expert_count") or 0,
        active_experts=count("expert_used_count") or 0,
        shared_experts=count("expert_shared_count") or 0,
        expert_intermediate_size=count("expert_feed_forward_length"),
        positions=positions,
        default_positions=positions,
        weight_format=WeightFormat("gguf", kind, 8 * size / total if total else None),
        kv_lora_rank=count("attention.kv_lora_rank"),
        qk_rope_head_dim=count("rope.dimension_count") if count("attention.kv_lora_rank") else None,
        sliding_window=count("attention.sliding_window"),
        exact_parameters=total or None,
        weight_bytes=size,
    )


def _parts(file: Path) -> list[Path]:
    """A file split by llama.cpp's gguf-split, as its names tell: model-00001-of-00003.gguf."""
    split = re.fullmatch(r"(.*)-\d{5}-of-(\d{5})\.gguf", file.name)
    if split is None:
        return [file]
    names = [f"{split[1]}-{index:05}-of-{split[2]}.gguf" for index in range(1, int(split[2]) + 1)]
    return [part for name in names if (part := file.parent / name).is_file()]


def _length(value: Any) -> int | None:
    return value if isinstance(value, int) else None


def _read_header(stream: BinaryIO) -> tuple[dict[str, Any], Counter[str]]:
    if stream.read(4) != b"GGUF":
        raise _BadHeaderError("does not begin with GGUF")
    version = _number(stream, "<I")
    if version not in (2, 3):
        raise _BadHeaderError(f"version {version}")
    tensors, entries = _amount(stream), _amount(stream)
    metadata: dict[str, Any] = {}
    for _ in range(entries):
        name = _string(stream)
        metadata[name] = _value(stream, _number(stream, "<I"))
    numbers: Counter[str] = Counter()
    for _ in range(tensors):
        _string(stream)
        shape = [_number(stream, "<Q") for _ in range(_number(stream, "<I"))]
        kind = int(_number(stream, "<I"))
        _number(stream, "<Q")  # where its weights start
        name = _TENSOR_TYPES[kind] if kind < len(_TENSOR_TYPES) else f"type {kind}"
        numbers[name] += math.prod(shape)
    return metadata, numbers


def _value(stream: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(stream)
    if kind == _ARRAY:
        return _array(stream)
    if kind not in _NUMBERS:
        raise _BadHeaderError(f"a value of type {kind}")
    return _number(stream, _NUMBERS[kind])


def _array(stream: BinaryIO) -> Any:
    """Lists of numbers; of a list of texts (the vocabulary) its length alone."""
    kind, amount = _number(stream, "<I"), _amount(stream)
    if kind == _STRING:
        for _ in range(amount):
            stream.seek(_length_of_string(stream), 1)
        return amount
    if kind not in _NUMBERS:
        raise _BadHeaderError(f"a list of type {kind}")
    form = _NUMBERS[kind]
    width = struct.calcsize(form)
    return [found[0] for found in struct.iter_unpack(form, _read(stream, amount * width))]


def _string(stream: BinaryIO) -> str:
    return _read(stream, _length_of_string(stream)).decode("utf-8")


def _length_of_string(stream: BinaryIO) -> int:
    length = int(_number(stream, "<Q"))
    if length > _LONGEST_STRING_BYTES:
        raise _BadHeaderError(f"a text of {length} bytes")
    return length


def _amount(stream: BinaryIO) -> int:
    amount = int(_number(stream, "<Q"))
    if amount > _MOST_ENTRIES:
        raise _BadHeaderError(f"{amount} entries")
    return amount


def _number(stream: BinaryIO, form: str) -> Any:
    return struct.unpack(form, _read(stream, struct.calcsize(form)))[0]


def _read(stream: BinaryIO, length: int) -> bytes:
    data = stream.read(length)
    if len(data) != length:
        raise _BadHeaderError("ends in its header")
    return data
